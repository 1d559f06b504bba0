//! SCRAM verifiers: what the target keeps of a password (RFC 5802, section 3; RFC 7677 for SHA-256).

use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use data_encoding::BASE64;
use secrethub_engine::{EngineError, Result, SecretString};
use std::num::NonZeroU32;
use tokio::sync::Semaphore;

/// As PostgreSQL makes them itself; some drivers take no fewer.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();

/// Verifiers computed at a time: each takes a processor for milliseconds.
static PLACES: Semaphore = Semaphore::const_new(2);

/// A verifier. Who has it can try passwords against it and pose as the server, so it is as secret as the password.
pub(crate) struct Verifier(SecretString);

impl Verifier {
    /// The verifier of a password, computed off the threads that serve calls.
    pub(crate) async fn of(password: &SecretString) -> Result<Self> {
        let gone = |_| EngineError::retry("the engine is stopping");
        let _place = PLACES.acquire().await.map_err(|_| EngineError::retry("the engine is stopping"))?;
        let password = password.clone();
        let compute = move || scram_sha_256(password.expose());
        Ok(Self(tokio::task::spawn_blocking(compute).await.map_err(gone)??.into()))
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What must not be in an error: the verifier, and its parts, since the target may quote only one of them.
    pub(crate) fn hide(&self, error: EngineError) -> EngineError {
        let parts = self.0.expose().split(['$', ':']).filter(|part| part.len() > 16);
        let hidden: Vec<&str> = std::iter::once(self.0.expose()).chain(parts).collect();
        error.without(&hidden)
    }
}

fn scram_sha_256(password: &str) -> Result<String> {
    if !password.is_ascii() {
        // SASLprep changes what is beyond ASCII: rare enough to leave it to those who know how
        return Ok(postgres_protocol::password::scram_sha_256(password.as_bytes()));
    }
    let mut salt = [0; 16];
    rand::fill(&mut salt).map_err(|_| EngineError::retry("the system gives no random bytes"))?;
    Ok(verifier(password, &salt))
}

/// The library's own loop sets up the key of its HMAC anew in each of the rounds, which takes twice as long.
fn verifier(password: &str, salt: &[u8]) -> String {
    let mut salted = zeroize::Zeroizing::new([0; digest::SHA256_OUTPUT_LEN]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, salt, password.as_bytes(), &mut *salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*salted);
    let client_key = hmac::sign(&key, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let server_key = hmac::sign(&key, b"Server Key");
    format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        BASE64.encode(salt),
        BASE64.encode(stored_key.as_ref()),
        BASE64.encode(server_key.as_ref())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The library that tokio-postgres logs in with makes the same of the same salt.
    #[test]
    fn verifiers_are_those_of_the_library() {
        for password in ["secret", "", "with space, and \"$:\u{7f}", &"long".repeat(50)] {
            let theirs = postgres_protocol::password::scram_sha_256(password.as_bytes());
            let salt = theirs.split(['$', ':']).nth(2).unwrap();
            assert_eq!(verifier(password, &BASE64.decode(salt.as_bytes()).unwrap()), theirs, "{password}");
        }
        assert!(scram_sha_256("b\u{fc}cher").unwrap().starts_with("SCRAM-SHA-256$4096:"));
        assert_ne!(scram_sha_256("a").unwrap(), scram_sha_256("a").unwrap(), "each has a salt of its own");
    }

    #[tokio::test]
    async fn no_part_of_a_verifier_is_shown() {
        let verifier = Verifier::of(&"secret".into()).await.unwrap();
        let text = verifier.expose().to_owned();
        assert!(text.starts_with("SCRAM-SHA-256$4096:"), "{text}");
        let stored = text.rsplit(['$', ':']).next().unwrap();
        for shown in [&text, stored] {
            let error = verifier.hide(EngineError::refused(format!("syntax error at \"{shown}\"")));
            assert_eq!(error.message, "syntax error at \"[hidden]\"");
        }
    }
}
