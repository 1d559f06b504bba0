//! Subscriptions, over real sockets.

pub mod client;
mod codes;
mod ends;
mod nodes;
mod resuming;
mod telling;
