//! The words of closed sets that several places speak.

use crate::error;
use crate::model::policies;
use async_graphql::Enum;

/// What went wrong, in `extensions.code` of every error. Programs decide by it; the message is for people.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "error::ErrorCode")]
pub enum ErrorCode {
    /// No token was sent, or it is unknown, expired, revoked or used up; at a login, the credentials are wrong.
    Unauthenticated,
    /// The caller is known, but no policy allows this.
    Forbidden,
    /// What a mutation names does not exist, or the caller may not know that it does. Queries answer `null` instead.
    NotFound,
    /// The input breaks a rule. `extensions.field` names the field, such as `input.path`.
    BadUserInput,
    /// The state of things stands against it: a version that is not the expected one, a name that is taken.
    Conflict,
    /// Too many attempts have failed, or the caller asks for more work than its share. `extensions.retryAfterSeconds` says when to come back.
    RateLimited,
    /// The server is sealed and has no keys in memory: unseal it first.
    Sealed,
    /// The server has no keys yet: initialise it first.
    NotInitialized,
    /// The engine or its target does not answer. The same request may succeed later.
    EngineUnavailable,
    /// The document is deeper, longer or costlier than the server takes. Ask for less at a time.
    QueryTooComplex,
    /// The hash of a persisted query is not known: send the document itself along with it.
    PersistedQueryNotFound,
    /// Something that the server depends on does not answer. The same request may succeed later.
    Unavailable,
    /// A fault of the server. `extensions.requestId` finds it in the server's log.
    Internal,
}

/// What can be done with a secret. In a policy's document the same words stand in small letters.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "policies::Operation")]
pub enum SecretOperation {
    /// See the value of a static secret.
    Read,
    /// Know that a secret exists, and all that is known about it but its value.
    List,
    /// Create a secret, write new versions of it, restore deleted ones, change its settings.
    Write,
    /// Delete versions so that they can be restored, or destroy them for good.
    Delete,
    /// Obtain credentials of a dynamic secret.
    Issue,
    /// Prolong a lease.
    Renew,
    /// End a lease before its time.
    Revoke,
    /// Rotate a secret now.
    Rotate,
}

/// What can be administered. In a policy's document the same words stand in small letters.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "policies::Area")]
pub enum AdministrationArea {
    /// All secrets, but not their values: seeing and listing them.
    Secrets,
    /// Policies, and explanations of other callers' access.
    Policies,
    /// Roles and their SecretIDs.
    Roles,
    /// Tokens of other callers.
    Tokens,
    /// Engines and their configuration.
    Engines,
    /// Leases of other callers.
    Leases,
    /// Certificate authorities and certificates.
    Certificates,
    /// The audit log.
    Audit,
    /// Sealing, new key shares, and rotation of the encryption key.
    Seal,
}
