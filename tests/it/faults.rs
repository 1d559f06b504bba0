//! Bad input and races: what must be refused is refused by name, and of many that want the same exactly one gets it.

mod concurrent;
mod malformed;
mod shares;
