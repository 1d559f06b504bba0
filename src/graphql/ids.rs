//! Node ids: readable and typed, `secret:0190…`, so that an id in a log or a bug report says what it names.

use super::result::Result;
use crate::error::Error;
use async_graphql::ID;
use std::fmt;
use uuid::Uuid;

/// What a node id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeId {
    Secret(Uuid),
    Policy(Uuid),
    Role(Uuid),
    /// By accessor: the token itself is never an id.
    Token(Uuid),
    AuditEvent(Uuid),
    Engine(Uuid),
    Lease(Uuid),
    Certificate(Uuid),
    /// By its certificate.
    CertificateAuthority(Uuid),
    CertificateRole(Uuid),
    Enrollment(Uuid),
    IntermediateCaRequest(Uuid),
    /// By the secret at its path.
    EngineRole(Uuid),
}

impl NodeId {
    /// Reads an id that an earlier answer handed out.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at the field `id`.
    pub fn parse(id: &str) -> Result<Self> {
        let kind_and_uuid = id.split_once(':').and_then(|(kind, uuid)| Some((kind, uuid.parse().ok()?)));
        Ok(match kind_and_uuid {
            Some(("secret", uuid)) => Self::Secret(uuid),
            Some(("policy", uuid)) => Self::Policy(uuid),
            Some(("role", uuid)) => Self::Role(uuid),
            Some(("token", uuid)) => Self::Token(uuid),
            Some(("audit_event", uuid)) => Self::AuditEvent(uuid),
            Some(("engine", uuid)) => Self::Engine(uuid),
            Some(("lease", uuid)) => Self::Lease(uuid),
            Some(("certificate", uuid)) => Self::Certificate(uuid),
            Some(("certificate_authority", uuid)) => Self::CertificateAuthority(uuid),
            Some(("certificate_role", uuid)) => Self::CertificateRole(uuid),
            Some(("enrollment", uuid)) => Self::Enrollment(uuid),
            Some(("intermediate_ca_request", uuid)) => Self::IntermediateCaRequest(uuid),
            Some(("engine_role", uuid)) => Self::EngineRole(uuid),
            _ => {
                return Err(Error::bad_input(
                    "id",
                    "this is no node id: use the id of an earlier answer, such as \
                     secret:0190163d-8694-739b-aea5-966c26f8ad91",
                )
                .into());
            }
        })
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, uuid) = match self {
            Self::Secret(uuid) => ("secret", uuid),
            Self::Policy(uuid) => ("policy", uuid),
            Self::Role(uuid) => ("role", uuid),
            Self::Token(uuid) => ("token", uuid),
            Self::AuditEvent(uuid) => ("audit_event", uuid),
            Self::Engine(uuid) => ("engine", uuid),
            Self::Lease(uuid) => ("lease", uuid),
            Self::Certificate(uuid) => ("certificate", uuid),
            Self::CertificateAuthority(uuid) => ("certificate_authority", uuid),
            Self::CertificateRole(uuid) => ("certificate_role", uuid),
            Self::Enrollment(uuid) => ("enrollment", uuid),
            Self::IntermediateCaRequest(uuid) => ("intermediate_ca_request", uuid),
            Self::EngineRole(uuid) => ("engine_role", uuid),
        };
        write!(f, "{kind}:{uuid}")
    }
}

/// A UUID that stands in an argument of its own, such as an accessor.
///
/// # Errors
/// `BAD_USER_INPUT` at `field`.
pub fn uuid_at(id: &ID, field: &'static str) -> Result<Uuid> {
    id.parse().map_err(|_| {
        Error::bad_input(field, "this is no UUID: it looks like 0190163d-8694-739b-aea5-966c26f8ad91").into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_others_are_refused() {
        let uuid = Uuid::from_u128(7);
        for id in [
            NodeId::Secret(uuid),
            NodeId::Policy(uuid),
            NodeId::Role(uuid),
            NodeId::Token(uuid),
            NodeId::AuditEvent(uuid),
            NodeId::Engine(uuid),
            NodeId::Lease(uuid),
            NodeId::Certificate(uuid),
            NodeId::CertificateAuthority(uuid),
            NodeId::CertificateRole(uuid),
            NodeId::Enrollment(uuid),
            NodeId::IntermediateCaRequest(uuid),
            NodeId::EngineRole(uuid),
        ] {
            assert_eq!(NodeId::parse(&id.to_string()).ok(), Some(id));
        }
        for text in ["", "secret", "secret:", "secret:7", "leases:00000000-0000-0000-0000-000000000007", "7"]
        {
            let failure = NodeId::parse(text).err().unwrap();
            assert_eq!(failure.0.field(), Some("id"), "{text}");
        }
    }
}
