//! Floor 3: SQL and nothing else. One file per noun; every function takes a [`Tx`] and sees ciphertext only.
//!
//! SQL is written once, with `$1` placeholders, and runs on both databases (see [`db`]). "Not found" is `Ok(None)`.

pub mod db;
pub mod types;
