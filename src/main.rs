//! The `secrethub` program.

fn main() {}
