//! A store that somebody edited behind the server's back.

mod audit;
mod ciphertexts;
