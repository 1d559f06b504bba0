//! SCRAM verifiers: what the target keeps of a password.

use secrethub_engine::{EngineError, Result, SecretString};
use tokio::sync::Semaphore;

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
        let compute = move || postgres_protocol::password::scram_sha_256(password.expose().as_bytes());
        Ok(Self(tokio::task::spawn_blocking(compute).await.map_err(gone)?.into()))
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

#[cfg(test)]
mod tests {
    use super::*;

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
