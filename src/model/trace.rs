//! What spans are made under: those of this target go to the collector of spans, if there is one, and never to the log. They hold
//! fixed words, numbers and request ids only: no path, no name that somebody chose, nothing of a value or a token.

/// The target of every span. No module has it, so no filter of the log turns it on by chance.
pub const SPANS: &str = "secrethub_spans";
