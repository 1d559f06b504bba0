//! Answers of the Online Certificate Status Protocol (RFC 6960).

use super::super::App;

/// The most bytes of a request.
pub const MAX_REQUEST: usize = 4096;

/// The answer (DER) to a request (DER), for the authority of this serial number or `default`; what cannot be answered says so in
/// the protocol's own words.
pub async fn ocsp(app: &App, issuer: &str, request: &[u8]) -> OcspAnswer {
    let _ = (app, issuer, request);
    OcspAnswer { der: Vec::new(), expires_in: None }
}

/// A response, and for how many seconds it may be cached; `None`: it may not.
pub struct OcspAnswer {
    pub der: Vec<u8>,
    pub expires_in: Option<u64>,
}
