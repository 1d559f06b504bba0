//! The audit log as clients see it.

use crate::graphql::ids::NodeId;
use crate::graphql::scalars::{BigInt, DateTime, Json, int};
use crate::model::audit;
use crate::service::audit::{Checkpoint, Verification};
use async_graphql::{ID, Object, SimpleObject};
use data_encoding::HEXLOWER;

/// Boxed, since it is far larger than the other nodes.
pub struct AuditEvent(Box<audit::AuditEvent>);

impl From<audit::AuditEvent> for AuditEvent {
    fn from(event: audit::AuditEvent) -> Self {
        Self(Box::new(event))
    }
}

/// One entry of the audit log. Its hash covers every stored field and the hash of the entry before, so that nothing can
/// be altered unnoticed. Seen by callers who administer `audit`.
#[Object]
impl AuditEvent {
    /// The id among all nodes: `audit_event:` and the `eventId`.
    pub async fn id(&self) -> ID {
        NodeId::AuditEvent(self.0.event_id).to_string().into()
    }

    /// The UUID of the event.
    async fn event_id(&self) -> ID {
        self.0.event_id.into()
    }

    /// Its place in the chain, counting from 1 without gaps.
    async fn sequence_number(&self) -> BigInt {
        self.0.sequence_number.into()
    }

    /// When it happened, in whole microseconds.
    async fn timestamp(&self) -> DateTime {
        self.0.timestamp.into()
    }

    /// What happened, such as `secret.accessed`.
    async fn event_type(&self) -> &str {
        &self.0.event_type
    }

    /// What kind of caller it was: `admin`, `app`, `agent`, `system` or `anonymous`.
    async fn actor_type(&self) -> Option<&str> {
        self.0.actor_type.as_deref()
    }

    /// Who it was: an entity such as `role:billing`, or the accessor of a token.
    async fn actor_id(&self) -> Option<&str> {
        self.0.actor_id.as_deref()
    }

    /// The accessor of the token that asked.
    async fn token_accessor(&self) -> Option<&str> {
        self.0.token_accessor.as_deref()
    }

    /// The role that the token came from, or that the event is about.
    async fn role_name(&self) -> Option<&str> {
        self.0.role_name.as_deref()
    }

    /// The agent, if one asked.
    async fn agent_id(&self) -> Option<&str> {
        self.0.agent_id.as_deref()
    }

    /// The application, if one asked.
    async fn app_id(&self) -> Option<&str> {
        self.0.app_id.as_deref()
    }

    /// The administrator, if one asked.
    async fn admin_id(&self) -> Option<&str> {
        self.0.admin_id.as_deref()
    }

    /// SHA-256 of the client certificate in hexadecimal, if an agent showed one.
    async fn agent_cert_fingerprint(&self) -> Option<&str> {
        self.0.agent_cert_fingerprint.as_deref()
    }

    /// SHA-256 of the client certificate in hexadecimal, if an application showed one.
    async fn app_cert_fingerprint(&self) -> Option<&str> {
        self.0.app_cert_fingerprint.as_deref()
    }

    /// SHA-256 of the client certificate in hexadecimal, if an administrator showed one.
    async fn admin_cert_fingerprint(&self) -> Option<&str> {
        self.0.admin_cert_fingerprint.as_deref()
    }

    /// The UUID of the secret that it is about.
    async fn secret_id(&self) -> Option<ID> {
        self.0.secret_id.map(Into::into)
    }

    /// The path of the secret that it is about.
    async fn secret_path(&self) -> Option<&str> {
        self.0.secret_path.as_deref()
    }

    /// The version of the secret that it is about.
    async fn secret_version(&self) -> Option<i32> {
        self.0.secret_version.map(int)
    }

    /// The type of the secret that it is about: `static` or `dynamic_role`.
    async fn secret_type(&self) -> Option<&str> {
        self.0.secret_type.as_deref()
    }

    /// The UUID of the lease that it is about.
    async fn lease_id(&self) -> Option<ID> {
        self.0.lease_id.map(Into::into)
    }

    /// Whether access was granted; null for events that are no access.
    async fn access_granted(&self) -> Option<bool> {
        self.0.access_granted
    }

    /// The policy that decided.
    async fn policy_matched(&self) -> Option<&str> {
        self.0.policy_matched.as_deref()
    }

    /// Why access was refused.
    async fn denial_reason(&self) -> Option<&str> {
        self.0.denial_reason.as_deref()
    }

    /// The address that the request came from.
    async fn source_ip(&self) -> Option<String> {
        self.0.source_ip.map(|address| address.to_string())
    }

    /// The host that served it.
    async fn hostname(&self) -> Option<&str> {
        self.0.hostname.as_deref()
    }

    /// The Kubernetes namespace of the server, if it runs in one.
    #[graphql(name = "k8sNamespace")]
    async fn k8s_namespace(&self) -> Option<&str> {
        self.0.k8s_namespace.as_deref()
    }

    /// The Kubernetes pod of the server, if it runs in one.
    #[graphql(name = "k8sPod")]
    async fn k8s_pod(&self) -> Option<&str> {
        self.0.k8s_pod.as_deref()
    }

    /// What the client sent to recognise its requests by.
    async fn correlation_id(&self) -> Option<&str> {
        self.0.correlation_id.as_deref()
    }

    /// How long the request had taken when it was recorded, in milliseconds.
    async fn response_time_ms(&self) -> Option<i32> {
        self.0.response_time_ms.map(int)
    }

    /// What else belongs to this type of event: a JSON object. Never the value of a secret.
    async fn event_data(&self) -> Json {
        Json(self.0.event_data.clone())
    }

    /// Whether it is the last of its batch, and so carries a signature.
    async fn batch_end(&self) -> bool {
        self.0.batch_end
    }

    /// The `currentHash` of the event before: SHA-256 in hexadecimal; zeros for the first.
    async fn previous_hash(&self) -> String {
        HEXLOWER.encode(&self.0.previous_hash)
    }

    /// SHA-256 of this event and `previousHash`, in hexadecimal.
    async fn current_hash(&self) -> String {
        HEXLOWER.encode(&self.0.current_hash)
    }

    /// The Ed25519 signature of `currentHash`, in hexadecimal; the last event of each batch has one.
    async fn signature(&self) -> Option<String> {
        self.0.signature.as_deref().map(|signature| HEXLOWER.encode(signature))
    }
}

/// The end of the chain, signed. Kept elsewhere, it proves later that nothing before it was cut off or altered.
#[derive(SimpleObject)]
pub struct AuditCheckpoint {
    /// The number of the latest event.
    sequence_number: BigInt,
    /// Its `currentHash`: SHA-256 in hexadecimal.
    hash: String,
    /// The Ed25519 signature of the hash, in hexadecimal.
    signature: String,
    /// The Ed25519 public key of this server's audit log, in hexadecimal.
    public_key: String,
    /// When that event happened.
    timestamp: DateTime,
    /// For `after` of a subscription, which then tells everything that happens from here on: take it, read what there is, subscribe,
    /// and nothing is missed in between.
    cursor: String,
}

impl From<Checkpoint> for AuditCheckpoint {
    fn from(checkpoint: Checkpoint) -> Self {
        Self {
            sequence_number: checkpoint.sequence_number.into(),
            hash: HEXLOWER.encode(&checkpoint.hash),
            signature: HEXLOWER.encode(&checkpoint.signature),
            public_key: HEXLOWER.encode(&checkpoint.public_key),
            timestamp: checkpoint.timestamp.into(),
            cursor: checkpoint.cursor,
        }
    }
}

/// What came of checking a stretch of the chain.
#[derive(SimpleObject)]
pub struct AuditVerification {
    /// Whether every hash, number and signature in it is right.
    valid: bool,
    /// How many events were checked.
    checked: BigInt,
    /// The first event that is wrong; null if none is.
    first_bad_sequence: Option<BigInt>,
    /// What is wrong with it; null if nothing is.
    problem: Option<String>,
}

impl From<Verification> for AuditVerification {
    fn from(verification: Verification) -> Self {
        Self {
            valid: verification.valid,
            checked: verification.checked.into(),
            first_bad_sequence: verification.first_bad_sequence.map(BigInt::from),
            problem: verification.problem,
        }
    }
}
