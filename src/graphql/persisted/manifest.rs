//! The file of persisted documents, in either of the forms that tools write: `{"NAME": "TEXT", ...}` (Relay, GraphQL Code Generator),
//! or the manifest of Apollo's tools, `{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id", "body"}]}`.

use crate::error::{Error, Result};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::fmt;
use std::path::Path;

/// Documents in one manifest.
const MAX_DOCUMENTS: usize = 10_000;
const MAX_FILE: u64 = 16 << 20;
/// Bytes of a document's name.
const MAX_ID: usize = 256;
const APOLLO: &str = "apollo-persisted-query-manifest";
const SETTING: &str = "graphql.persisted_documents";

/// A document with its name.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub id: String,
    /// Of its operation, if the manifest says.
    pub name: Option<String>,
    pub text: String,
}

/// What a manifest holds; not looked at yet.
#[derive(Debug, Clone, Default)]
pub struct Manifest(Vec<Named>);

#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    Apollo { format: String, version: u32, operations: Vec<Operation> },
    Map(Pairs),
}

#[derive(Deserialize)]
struct Operation {
    id: String,
    name: Option<String>,
    body: String,
}

/// A map that keeps repeated keys, to refuse them.
struct Pairs(Vec<Named>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut all = Vec::new();
                while let Some((id, text)) = map.next_entry()? {
                    all.push(Named { id, name: None, text });
                }
                Ok(Pairs(all))
            }
        }
        deserializer.deserialize_map(All)
    }
}

impl Manifest {
    /// # Errors
    /// `BAD_USER_INPUT` at `graphql.persisted_documents`.
    pub fn read(path: &Path) -> Result<Self> {
        let unreadable =
            |error: std::io::Error| bad(format!("{} cannot be read: {}", path.display(), error.kind()));
        if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE {
            return Err(bad(format!("{} has more than {MAX_FILE} bytes", path.display())));
        }
        Self::parse(&std::fs::read(path).map_err(unreadable)?)
    }

    /// # Errors
    /// As [`Manifest::read`].
    pub fn parse(json: &[u8]) -> Result<Self> {
        let file: File = serde_json::from_slice(json).map_err(|_| {
            bad(format!(
                "write a JSON object of documents by their names, or one with format \"{APOLLO}\", version 1 and operations"
            ))
        })?;
        let documents = match file {
            File::Map(Pairs(documents)) => documents,
            File::Apollo { format, version: 1, operations } if format == APOLLO => operations
                .into_iter()
                .map(|operation| Named { id: operation.id, name: operation.name, text: operation.body })
                .collect(),
            File::Apollo { .. } => return Err(bad(format!("the format is not \"{APOLLO}\" of version 1"))),
        };
        if documents.is_empty() || documents.len() > MAX_DOCUMENTS {
            return Err(bad(format!("the manifest must hold 1 to {MAX_DOCUMENTS} documents")));
        }
        if documents.iter().any(|named| !(1..=MAX_ID).contains(&named.id.len())) {
            return Err(bad(format!("every document needs a name of 1 to {MAX_ID} bytes")));
        }
        Ok(Self(documents))
    }

    pub(super) fn documents(&self) -> &[Named] {
        &self.0
    }
}

fn bad(message: String) -> Error {
    Error::bad_input(SETTING, message)
}
