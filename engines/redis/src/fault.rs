//! What a node says when it fails, and what that means.

use deadpool_redis::PoolError;
use deadpool_redis::redis::{ErrorKind, RedisError};
use secrethub_engine::EngineError;

/// A failure at one node.
#[derive(Debug)]
pub struct Fault {
    node: String,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    /// It does not answer.
    Gone(&'static str),
    /// It refuses the login.
    Login,
    /// Its certificate is not trusted, or another's.
    Certificate,
    /// It answers with an error: its first word, and the rest.
    Says(String, String),
}

/// First words of answers that may be others the next time.
const PASSING: [&str; 10] = [
    "LOADING",
    "READONLY",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "TRYAGAIN",
    "BUSY",
    "MISCONF",
    "OOM",
    "UNKILLABLE",
    "NOREPLICAS",
];

impl Fault {
    pub fn new(node: &str, error: &RedisError) -> Self {
        let detail = error.detail().unwrap_or_default().to_owned();
        let cause = match (error.kind(), error.code()) {
            (_, Some(code)) => Cause::Says(code.to_owned(), detail),
            (ErrorKind::AuthenticationFailed, _) => Cause::Login,
            _ if error.is_timeout() => Cause::Gone("did not answer in time"),
            (ErrorKind::Io, _) if error.to_string().contains("certificate") => Cause::Certificate,
            (ErrorKind::Io, _) if error.is_connection_refusal() => Cause::Gone("refuses connections"),
            _ => Cause::Gone("cannot be reached"),
        };
        Self { node: node.to_owned(), cause }
    }

    pub fn of_pool(node: &str, error: &PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::new(node, error),
            PoolError::Timeout(_) => {
                Self { node: node.to_owned(), cause: Cause::Gone("is busy: all connections are in use") }
            }
            _ => Self::unreachable(node),
        }
    }

    pub fn unreachable(node: &str) -> Self {
        Self { node: node.to_owned(), cause: Cause::Gone("cannot be reached") }
    }

    /// The node's words contain these.
    pub fn says(&self, words: &str) -> bool {
        matches!(&self.cause, Cause::Says(_, detail) if detail.contains(words))
    }

    /// The node does not have the command: it is renamed, or the service does not offer it.
    pub fn is_unknown(&self) -> bool {
        self.says("unknown command") || self.says("nknown subcommand")
    }

    /// The login was refused, rather than not answered.
    pub fn is_login(&self) -> bool {
        match &self.cause {
            Cause::Login => true,
            Cause::Says(code, _) => code == "WRONGPASS" || code == "NOAUTH",
            Cause::Gone(_) | Cause::Certificate => false,
        }
    }

    pub fn is_no_permission(&self) -> bool {
        matches!(&self.cause, Cause::Says(code, _) if code == "NOPERM")
    }

    /// The node answered, if only with an error that stays.
    pub fn is_answer(&self) -> bool {
        matches!(&self.cause, Cause::Says(code, _) if !PASSING.contains(&code.as_str()))
    }

    /// Which of these rules Redis does not take.
    pub fn rule(&self, rules: &[String]) -> Option<usize> {
        let Cause::Says(_, detail) = &self.cause else { return None };
        let (_, rest) = detail.split_once("ACL SETUSER modifier '")?;
        rules.iter().position(|rule| rest.starts_with(&format!("{rule}'")))
    }

    /// As an answer to whoever sets the engine up: with the setting that it is about.
    pub fn of_config(self) -> EngineError {
        let field = match self.cause {
            Cause::Login => Some("password"),
            Cause::Certificate => Some("tls.ca_pem"),
            Cause::Gone(_) | Cause::Says(..) => None,
        };
        let error = self.into_error(&[]);
        match field {
            Some(field) => error.at(field),
            None => error,
        }
    }

    /// As an answer, with the node's own words; these texts blotted out of them.
    pub fn into_error(self, secrets: &[&str]) -> EngineError {
        let node = self.node;
        match self.cause {
            Cause::Gone(how) => EngineError::retry(format!("{node} {how}")),
            Cause::Login => EngineError::refused(format!(
                "{node} refuses the login: the account or its password is wrong, or it is off"
            )),
            Cause::Certificate => EngineError::refused(format!(
                "{node} shows a certificate that is not trusted or not its own: check `tls.ca_pem` and the host's name"
            )),
            Cause::Says(code, detail) => {
                let message = format!("{node} answers {code}: {detail}");
                let error = if PASSING.contains(&code.as_str()) || detail.starts_with("max number of clients")
                {
                    EngineError::retry(message)
                } else {
                    EngineError::refused(message)
                };
                error.without(secrets)
            }
        }
    }
}
