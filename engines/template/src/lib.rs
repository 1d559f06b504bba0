//! Credentials as files in a directory: the smallest working engine, to copy.
