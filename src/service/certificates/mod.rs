//! Certificates: authorities, what they issue, and its end.

pub mod ocsp;
pub mod own;
pub mod publish;
pub mod trust;

pub use trust::PeerCertificate;
