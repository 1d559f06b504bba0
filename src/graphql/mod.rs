//! Floor 5: the GraphQL side. What every request passes before it is executed, and how errors leave.

pub mod documents;
pub mod errors;
pub mod guard;
