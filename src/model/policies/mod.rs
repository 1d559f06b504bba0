//! Policies: who may do what with which secrets, and who may administer what.
//!
//! A policy is stored as a [`Document`], compiled once when it changes ([`CompiledPolicy`]), and held against an
//! [`Action`] by [`evaluate`]. [`explain`] is the same evaluation, which also says why.
//!
//! - What no policy allows is denied.
//! - A deny policy that matches wins over every policy that allows, the built-in `root` included.
//! - A policy matches if its scope (an operation on a path, or an area) and all of its conditions do. A condition that
//!   cannot be evaluated, since the address or the lifetime asked for is not known, counts as not holding in a
//!   policy that allows and as holding in one that denies.
//! - If several policies allow, the one with the highest cap on lifetimes decides, no cap being the highest: holding
//!   one more policy that allows never takes anything away. Among equals the first one given decides.

mod bindings;
mod compiled;
mod conditions;
mod document;
mod evaluate;
mod explain;
mod pattern;
mod reader;
mod vocabulary;

pub use bindings::{Binding, MAX_NAME_LENGTH, validate_policy_name};
pub use compiled::{CompiledPolicy, ROOT};
pub use conditions::{Circumstances, Conditions, TimeWindow};
pub use document::{Document, DocumentError, MAX_PATTERNS};
pub use evaluate::{Action, Decision, evaluate, may_allow_below};
pub use explain::explain;
pub use pattern::{MAX_PATTERN_LENGTH, Pattern, PatternError};
pub use vocabulary::{Area, Operation};
