//! Certificates, with the real `openssl` and `curl`.

mod authorities;
mod clients;
mod lint;
mod many;
pub mod outside;
mod requests;
mod scene;
mod tour;
