//! Certificates, with the real `openssl` and `curl`.

mod authorities;
mod authority_lists;
mod background;
mod clients;
mod constraints;
mod lint;
pub mod outside;
mod renewal;
mod requests;
mod scene;
mod tour;
mod vectors;
