//! AWS IAM users, keys and assumed roles.
