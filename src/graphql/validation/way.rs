//! The way from an argument or a variable to a value inside it.

use async_graphql::Name;
use std::fmt;

/// Made on the stack while values are walked, and written only where something is wrong, or a variable stands.
pub enum Way<'w> {
    /// An argument of a field.
    Argument(&'w Name),
    /// An argument of a directive.
    Directive(&'w Name),
    /// The default of a variable.
    Default(&'w Name),
    Field(&'w Way<'w>, &'w Name),
    Item(&'w Way<'w>, usize),
}

impl Way<'_> {
    /// What the way begins at.
    pub fn root(&self) -> &Self {
        match self {
            Self::Field(outer, _) | Self::Item(outer, _) => outer.root(),
            root => root,
        }
    }

    /// What the value is called in a sentence.
    pub fn subject(&self) -> String {
        match self.root() {
            Self::Default(_) => format!("the default of the variable \"${self}\""),
            _ => format!("the argument \"{self}\""),
        }
    }

    /// What it is called for programs. `None` in directives.
    pub fn field(&self) -> Option<String> {
        match self.root() {
            Self::Directive(_) => None,
            Self::Default(_) => Some(format!("variables.{self}")),
            _ => Some(self.to_string()),
        }
    }
}

impl fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(name) | Self::Directive(name) | Self::Default(name) => f.write_str(name),
            Self::Field(outer, name) => write!(f, "{outer}.{name}"),
            Self::Item(outer, index) => write!(f, "{outer}[{index}]"),
        }
    }
}
