//! The audit event: what is stored, and the closed set of event types.

use chrono::{DateTime, Utc};
use serde_json::Value;
use std::net::IpAddr;
use uuid::Uuid;

macro_rules! event_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What happened. A closed set: every type is written by some operation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventType { $($(#[$doc])* $variant,)* }

        impl EventType {
            /// Every event type, in order of declaration.
            pub const ALL: &'static [EventType] = &[$(EventType::$variant,)*];

            /// The name that is stored and hashed.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The type of this name, if there is one.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

event_types! {
    /// A secret's value was handed out.
    SecretAccessed = "secret.accessed",
    /// A secret's existence or metadata was looked up, or secrets were listed.
    SecretListed = "secret.listed",
    /// An operation on a secret was refused.
    SecretAccessDenied = "secret.access_denied",
    SecretCreated = "secret.created",
    /// A new version, by write, patch or rollback, or changed settings.
    SecretUpdated = "secret.updated",
    /// Versions were deleted (soft).
    SecretDeleted = "secret.deleted",
    SecretRestored = "secret.restored",
    /// The data of versions was removed for good.
    SecretDestroyed = "secret.destroyed",
    /// Credentials were issued, and a lease on them began.
    SecretDynamicIssued = "secret.dynamic_issued",
    SecretLeaseRenewed = "secret.lease_renewed",
    /// The password of a target's account was replaced, and the secret has the new one.
    SecretRotated = "secret.rotated",
    /// Credentials are about to be issued: the lease is there before they are.
    LeaseIssuing = "lease.issuing",
    /// Credentials could not be issued; what may have come of it is revoked.
    LeaseIssueFailed = "lease.issue_failed",
    /// The end of leases was asked for, or came with the end of what they rest on.
    LeaseRevocationRequested = "lease.revocation_requested",
    LeaseRevoked = "lease.revoked",
    /// The target did not revoke what has ended: it is asked again.
    LeaseRevocationOverdue = "lease.revocation_overdue",
    /// A lease was given up without asking the target.
    LeaseForced = "lease.revocation_forced",
    /// Leases were looked up or listed.
    LeaseListed = "lease.listed",
    EngineEnabled = "engine.enabled",
    EngineUpdated = "engine.updated",
    EngineDisabled = "engine.disabled",
    /// The secret of an engine's own account is to be replaced: the new one is stored.
    EngineRootRotationStarted = "engine.root_rotation_started",
    EngineRootRotated = "engine.root_rotated",
    /// What an engine issues at a path was set or changed.
    EngineRoleSaved = "engine.role_saved",
    EngineRoleDeleted = "engine.role_deleted",
    /// Accounts on the target and leases differ.
    EngineDriftFound = "engine.drift_found",
    EngineDriftHealed = "engine.drift_healed",
    /// A token was presented that is unknown, expired, revoked, used up or not allowed from this address, or a client certificate
    /// that is not taken.
    AuthFailed = "auth.failed",
    /// An agent that came in by its role asks for the certificate that it goes on with.
    AuthAgentBootstrap = "auth.agent_bootstrap",
    AuthAgentCertificateIssued = "auth.agent_certificate_issued",
    /// Logins by client certificate.
    AuthAgentLogin = "auth.agent_login",
    AuthAppLogin = "auth.app_login",
    AuthAdminLogin = "auth.admin_login",
    /// A certificate was issued to anyone but an agent.
    CertificateIssued = "certificate.issued",
    /// Certificates, authorities, roles or enrollments were looked up or listed.
    CertificateListed = "certificate.listed",
    CertificateCaCreated = "certificate.ca_created",
    /// A key was made for an authority that an outside one is to sign.
    CertificateCaRequested = "certificate.ca_requested",
    /// Such a request was given up by an operator, and its key removed.
    CertificateCaRequestCancelled = "certificate.ca_request_cancelled",
    CertificateCaUpdated = "certificate.ca_updated",
    CertificateRoleSaved = "certificate.role_saved",
    CertificateRoleDeleted = "certificate.role_deleted",
    CertificateEnrollmentRequested = "certificate.enrollment_requested",
    CertificateEnrollmentApproved = "certificate.enrollment_approved",
    CertificateEnrollmentDenied = "certificate.enrollment_denied",
    CertificateEnrollmentExpired = "certificate.enrollment_expired",
    CertificateCrlPublished = "certificate.crl_published",
    /// A certificate is near its end.
    CertificateExpiring = "certificate.expiring",
    /// Certificates were removed long after their end.
    CertificateTidied = "certificate.tidied",
    SystemCertificateRevoked = "system.certificate_revoked",
    PolicyCreated = "policy.created",
    PolicyUpdated = "policy.updated",
    PolicyDeleted = "policy.deleted",
    /// The entities that a policy is bound to changed.
    PolicyBound = "policy.bound",
    RoleCreated = "role.created",
    RoleUpdated = "role.updated",
    RoleDeleted = "role.deleted",
    RoleSecretIdIssued = "role.secret_id_issued",
    RoleSecretIdDestroyed = "role.secret_id_destroyed",
    RoleLogin = "role.login",
    RoleLoginFailed = "role.login_failed",
    TokenIssued = "token.issued",
    TokenRenewed = "token.renewed",
    TokenRevoked = "token.revoked",
    /// A read in an administration area: policies, roles, tokens, explanations.
    AdminAccessed = "admin.accessed",
    /// An administration operation was refused.
    AdminAccessDenied = "admin.access_denied",
    AuditQueried = "audit.queried",
    AuditVerified = "audit.verified",
    SystemInitialized = "system.initialized",
    SystemUnsealed = "system.unsealed",
    SystemSealed = "system.sealed",
    SystemRekeyStarted = "system.rekey_started",
    /// A step of a re-key: an old share was given, the new ones were handed out or one was shown back, or it was given up.
    SystemRekeyProgress = "system.rekey_progress",
    SystemRekeyed = "system.rekeyed",
    SystemKeyRotated = "system.key_rotated",
    /// The background task finished rewrapping records under the active data key.
    SystemRewrapped = "system.rewrapped",
}

/// Who asked, in the words of the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActorType {
    Admin,
    App,
    Agent,
    /// The server itself: background tasks.
    System,
    /// No valid token was presented.
    Anonymous,
}

impl ActorType {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::App => "app",
            Self::Agent => "agent",
            Self::System => "system",
            Self::Anonymous => "anonymous",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Admin, Self::App, Self::Agent, Self::System, Self::Anonymous]
            .into_iter()
            .find(|t| t.as_str() == name)
    }
}

/// An event as it is stored. Every field but `current_hash` and `signature` is an input of `current_hash`;
/// `signature` signs `current_hash`, and `batch_end` (hashed) says that it must be there.
///
/// Texts are kept as texts even where they have a closed set of values: a verifier must be able to hash a row
/// that someone edited into nonsense.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    pub event_id: Uuid,
    pub sequence_number: i64,
    /// Whole microseconds, UTC.
    pub timestamp: DateTime<Utc>,
    pub event_type: String,
    pub actor_type: Option<String>,
    /// The entity (`role:billing`), or for a token without one its accessor.
    pub actor_id: Option<String>,
    pub token_accessor: Option<String>,
    pub role_name: Option<String>,
    pub agent_id: Option<String>,
    pub app_id: Option<String>,
    pub admin_id: Option<String>,
    /// SHA-256 of the client certificate (hex), if the caller showed one.
    pub agent_cert_fingerprint: Option<String>,
    pub app_cert_fingerprint: Option<String>,
    pub admin_cert_fingerprint: Option<String>,
    pub secret_id: Option<Uuid>,
    pub secret_path: Option<String>,
    pub secret_version: Option<i64>,
    pub secret_type: Option<String>,
    pub lease_id: Option<Uuid>,
    pub access_granted: Option<bool>,
    pub policy_matched: Option<String>,
    pub denial_reason: Option<String>,
    pub source_ip: Option<IpAddr>,
    pub hostname: Option<String>,
    pub k8s_namespace: Option<String>,
    pub k8s_pod: Option<String>,
    /// An object of strings, whole numbers, booleans, nulls, arrays and objects: no fractions, since the two databases
    /// would not give them back alike.
    pub event_data: Value,
    pub response_time_ms: Option<i64>,
    pub correlation_id: Option<String>,
    /// Whether this is the last event of its batch, and so carries a signature.
    pub batch_end: bool,
    pub previous_hash: [u8; 32],
    pub current_hash: [u8; 32],
    /// Ed25519 (RFC 8032) over `current_hash`.
    pub signature: Option<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_are_distinct() {
        for event_type in EventType::ALL {
            assert_eq!(EventType::parse(event_type.as_str()), Some(*event_type));
        }
        assert_eq!(EventType::parse("secret.unheard_of"), None);
    }
}
