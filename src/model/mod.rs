//! Floor 1: pure types and rules, without I/O, ambient time or ambient randomness.

pub mod audit;
pub mod certificates;
pub mod cidr;
pub mod clock;
pub mod duration;
pub mod leases;
pub mod meter;
pub mod paths;
pub mod policies;
pub mod trace;
