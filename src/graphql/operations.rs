//! What a request asks for, in a word that a monitoring system can count by: the name of its root field. What clients write is
//! never such a word, or whoever reaches the server could fill the memory of what counts.

use super::definitions::chosen;
use async_graphql::Positioned;
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

/// The root fields of the schema, in order; then what is not one of them.
pub const OPERATIONS: [&str; 95] = [
    "approveEnrollment",
    "auditCheckpoint",
    "auditEventAdded",
    "auditEvents",
    "authorities",
    "bindSecretAccount",
    "cancelIntermediateCaRequest",
    "cancelRekey",
    "certificate",
    "certificateAuthorities",
    "certificateRole",
    "certificateRoles",
    "certificates",
    "completeIntermediateCa",
    "confirmRekey",
    "createIntermediateCa",
    "createPolicy",
    "createRole",
    "createRootCa",
    "createToken",
    "deleteCertificateRole",
    "deleteEngineRole",
    "deletePolicy",
    "deleteRole",
    "deleteSecret",
    "denyEnrollment",
    "destroySecretId",
    "destroySecretVersions",
    "disableEngine",
    "enableEngine",
    "engine",
    "enginePlugins",
    "engines",
    "enrollment",
    "enrollments",
    "errorCodes",
    "explainAccess",
    "generateSecretId",
    "healEngineDrift",
    "importCa",
    "initialize",
    "intermediateCaRequests",
    "issueCertificate",
    "issueCredentials",
    "lease",
    "leaseChanged",
    "leases",
    "loginWithAppRole",
    "loginWithCertificate",
    "me",
    "node",
    "patchSecret",
    "policies",
    "policy",
    "putCertificateRole",
    "putEngineRole",
    "putSecret",
    "rekeyStatus",
    "renewCertificate",
    "renewLease",
    "renewToken",
    "requestIntermediateCa",
    "resetUnseal",
    "restoreSecret",
    "revokeCertificate",
    "revokeLease",
    "revokeLeases",
    "revokeToken",
    "role",
    "roles",
    "rollbackSecret",
    "rotateEncryptionKey",
    "rotateEngineRoot",
    "rotateSecret",
    "seal",
    "sealStatus",
    "sealStatusChanged",
    "secret",
    "secretChanged",
    "secrets",
    "signCertificate",
    "startRekey",
    "submitRekeyShare",
    "token",
    "tokens",
    "unbindSecretAccount",
    "unseal",
    "updateCertificateAuthority",
    "updateEngine",
    "updatePolicy",
    "updateRole",
    "updateSecretSettings",
    "verifyAudit",
    SEVERAL,
    OTHER,
];
const FIELDS: usize = OPERATIONS.len() - 2;
/// More than one root field.
const SEVERAL: &str = "(several)";
/// No root field of ours: introspection, `__typename`, and what was refused before it was read.
const OTHER: &str = "(other)";

/// A place in [`OPERATIONS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation(u16);

impl Operation {
    pub const OTHER: Self = Self(FIELDS as u16 + 1);
    const SEVERAL: Self = Self(FIELDS as u16);

    /// Of a document that was measured and is to be executed.
    #[must_use]
    pub fn of(document: &ExecutableDocument, name: Option<&str>) -> Self {
        let mut found = Self::OTHER;
        if let Some(operation) = chosen(document, name) {
            found.add(document, &operation.selection_set);
        }
        found
    }

    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The inverse of [`index`](Self::index).
    #[must_use]
    pub fn at(index: usize) -> Self {
        u16::try_from(index).map_or(Self::OTHER, |index| Self(index.min(Self::OTHER.0)))
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        OPERATIONS.get(self.index()).copied().unwrap_or(OTHER)
    }

    /// Takes the fields of a set into account. The measure has bounded their number, and how deep fragments spread each other.
    fn add(&mut self, document: &ExecutableDocument, set: &Positioned<SelectionSet>) {
        for selection in &set.node.items {
            if *self == Self::SEVERAL {
                return;
            }
            match &selection.node {
                Selection::Field(field) => {
                    let name = field.node.name.node.as_str();
                    match OPERATIONS[..FIELDS].binary_search(&name) {
                        Ok(index) if *self == Self::OTHER => *self = Self::at(index),
                        Ok(index) if self.index() != index => *self = Self::SEVERAL,
                        _ => {}
                    }
                }
                Selection::InlineFragment(inline) => self.add(document, &inline.node.selection_set),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                        self.add(document, &fragment.node.selection_set);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::types::{TypeKind, TypeSystemDefinition};
    use async_graphql::parser::{parse_query, parse_schema};

    #[test]
    fn a_request_is_counted_by_its_root_field() {
        for (text, name, expected) in [
            ("{ me { displayName } }", None, "me"),
            (
                "query Anything { x: secret(path: \"a\") { path } y: secret(path: \"b\") { path } }",
                None,
                "secret",
            ),
            ("{ me { displayName } sealStatus { sealed } }", None, SEVERAL),
            ("{ __typename ...F } fragment F on Query { ... { tokens { nodes { id } } } }", None, "tokens"),
            ("query A { me { displayName } } mutation B { seal { status { sealed } } }", Some("B"), "seal"),
            ("{ nothingOfOurs }", None, OTHER),
            ("{ __schema { queryType { name } } }", None, OTHER),
            ("{ ...Missing }", None, OTHER),
        ] {
            assert_eq!(Operation::of(&parse_query(text).unwrap(), name).name(), expected, "{text}");
        }
    }

    #[test]
    fn the_fields_are_those_of_the_schema() {
        let roots = ["Query", "Mutation", "Subscription"];
        let document = parse_schema(crate::graphql::sdl()).unwrap();
        let mut names = Vec::new();
        for definition in document.definitions {
            let TypeSystemDefinition::Type(kind) = definition else { continue };
            if let TypeKind::Object(object) = &kind.node.kind
                && roots.contains(&kind.node.name.node.as_str())
            {
                names.extend(object.fields.iter().map(|field| field.node.name.node.to_string()));
            }
        }
        names.sort();
        assert_eq!(names, OPERATIONS[..FIELDS], "OPERATIONS has other fields than the roots of the schema");
    }

    #[test]
    fn places_are_of_names() {
        assert!(OPERATIONS[..FIELDS].is_sorted());
        for (index, name) in OPERATIONS.into_iter().enumerate() {
            assert_eq!((Operation::at(index).index(), Operation::at(index).name()), (index, name));
        }
        assert_eq!(Operation::at(usize::MAX), Operation::OTHER);
    }
}
