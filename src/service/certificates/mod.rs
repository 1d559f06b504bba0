//! Certificates: authorities, what they issue, and its end.
//!
//! Whoever administers the area `certificates` makes authorities and roles, and issues anything. Everybody else gets certificates
//! by a role: by the operation `issue` on its path, within its rules. The service never copies what a CSR asks for: names are
//! checked one by one, and everything else of a certificate comes from its kind.

mod authorities;
mod authority_input;
mod authority_update;
mod authority_views;
mod enroll;
mod enroll_decide;
mod issue;
mod issuers;
mod login;
mod naming;
pub mod ocsp;
mod outside;
pub mod own;
mod plan;
mod profile;
pub mod publish;
mod renew;
mod requests;
mod revoke;
mod roles;
mod tidy;
pub mod trust;
mod view;

pub use authorities::{create_intermediate, create_root};
pub use authority_input::{AuthorityInput, ImportInput};
pub use authority_update::{AuthorityUpdate, update};
pub use authority_views::{
    AuthorityView, all_authorities, authorities, authority, authority_of, chain_above,
};
pub use enroll::{EnrollmentView, enrollment, enrollments};
pub use enroll_decide::{approve, deny};
pub use issue::{Issued, IssuedWithKey, issue, sign};
pub use issuers::IssuerCache;
pub use login::login;
pub use outside::{complete_intermediate, import, request_intermediate};
pub use plan::CertificateWish;
pub use renew::renew;
pub use requests::{AuthorityRequestView, authority_request, authority_requests, cancel_authority_request};
pub use revoke::revoke;
pub(super) use roles::RoleState;
pub use roles::{
    CertificateRole, CertificateRoleView, delete_role, find_role, list_roles, put_role, role_by_id,
};
pub use tidy::{Tidied, tidy};
pub use trust::PeerCertificate;
pub use view::{CertificateView, ListFilter, by_id, by_serial, issuer_of, list};

use crate::crypto::barrier::RecordName;
use crate::error::Error;
use crate::storage::certificates::CertificateRow;
use serde_json::{Value, json};

/// What an installation's certificates are issued with.
#[derive(Debug, Clone)]
pub struct PkiSettings {
    /// Where relying parties reach the doors `/v1/pki`, without a slash at the end; `None`: certificates name no such addresses.
    pub base_url: Option<String>,
    /// How long a revocation list is valid, in seconds; a new one is made at half of that.
    pub crl_validity: i64,
    /// How long after its end a certificate is kept, in seconds.
    pub tidy_after: i64,
    /// How long before its end a certificate is reported as expiring, in seconds.
    pub expiring_within: i64,
}

impl Default for PkiSettings {
    fn default() -> Self {
        Self { base_url: None, crl_validity: 72 * 3600, tidy_after: 30 * 86400, expiring_within: 14 * 86400 }
    }
}

/// What this node remembers of authorities beside their keys (which are with the keyring).
pub struct Pki {
    pub(super) settings: PkiSettings,
    pub(super) lists: publish::Lists,
    pub(super) answers: ocsp::Answers,
    /// Told when a revocation list is out of date.
    pub(super) lists_due: tokio::sync::Notify,
}

impl Pki {
    pub(super) fn new(settings: PkiSettings) -> Self {
        Self {
            settings,
            lists: publish::Lists::default(),
            answers: ocsp::Answers::default(),
            lists_due: tokio::sync::Notify::new(),
        }
    }
}

/// The name that a sealed private key is bound to.
pub(super) fn key_record(id: &str) -> RecordName<'_> {
    RecordName { table: "certificates", column: "private_key_encrypted", id, version: 0 }
}

fn absent() -> Error {
    Error::not_found(
        "there is no such certificate, or this token may not know of it: check the serial number",
    )
}

/// What the record of an operation says of a certificate.
fn about(row: &CertificateRow) -> Value {
    json!({
        "serial_number": row.serial_number,
        "fingerprint": row.fingerprint,
        "cert_type": row.cert_type,
        "common_name": row.common_name,
        "issuer": row.issuer,
        "valid_until": row.valid_until.to_rfc3339(),
        "entity_id": row.entity_id,
        "role": row.role_path,
    })
}
