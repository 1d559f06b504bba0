//! Keyset paging: by the key of the row before, never by an offset.

/// One page over a text key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The most rows to return.
    pub limit: i64,
    /// Only rows whose key is greater.
    pub after: Option<String>,
    /// Only rows whose key is less.
    pub before: Option<String>,
    /// Take the last `limit` rows of those, not the first. They are returned in ascending order all the same.
    pub backward: bool,
}

/// One page over a secret's versions, whose order is newest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VersionPage {
    /// The most rows to return.
    pub limit: i64,
    /// Only what comes after this version in that order: older ones.
    pub after: Option<i64>,
    /// Only what comes before this version in that order: newer ones.
    pub before: Option<i64>,
    /// Take the last `limit` rows of those (the oldest), not the first. They are returned newest first all the same.
    pub backward: bool,
}
