//! Floor 2: keys and what is done with them. Bytes in, bytes out; no storage, no network.
