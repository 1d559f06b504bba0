//! What went wrong, in the engine's words or the target's, and whether the same can be tried again at once.

use futures_util::future::BoxFuture;
use secrethub_engine::{EngineError, ErrorKind};
use std::error::Error as _;
use std::hash::BuildHasher;
use std::time::Duration;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

/// How often a statement is sent again that collided with another.
const MAX_COLLISIONS: u32 = 12;
/// The longest pause before that, in milliseconds.
const MAX_PAUSE: u64 = 200;

/// A failure of one step.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: EngineError,
    /// What the target called it; `None` if it is not the target that said no.
    pub(crate) code: Option<SqlState>,
    again: Again,
}

/// Whether the same step may be taken again at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    No,
    /// It met another transaction.
    Collided,
    /// The connection was gone, as kept ones are after a restart of the target.
    Lost,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self { error, code: None, again: Again::No }
    }
}

impl From<Failure> for EngineError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// The target is not encrypted, or not who it should be: the field that says what to expect, and what to do.
fn no_tls(cause: &str) -> EngineError {
    let (field, advice) = if cause.contains("does not support TLS") {
        ("tls", "switch TLS on there, or say `disable` for a server on the same machine")
    } else if cause.contains("not valid for name") {
        ("host", "give a name that its certificate has")
    } else if cause.contains("UnknownIssuer") {
        ("ca_pem", "give the certificate of the authority that issued its certificate")
    } else {
        ("tls", "check its certificate and its settings")
    };
    EngineError::refused(format!("the target and the engine cannot agree on TLS: {cause}: {advice}"))
        .at(field)
}

impl Failure {
    /// The connection was not made.
    pub(crate) fn connecting(error: &Error) -> Self {
        if let Some(said) = error.as_db_error() {
            return Self { again: Again::No, ..Self::said(said) };
        }
        let text = error.to_string();
        let cause = error.source();
        let error = match text.as_str() {
            "error performing TLS handshake" => {
                let cause = cause.map(ToString::to_string).unwrap_or_default();
                no_tls(&cause)
            }
            "authentication error" => {
                EngineError::refused("the target asks for a kind of login that the engine does not have")
            }
            _ => EngineError::retry(match cause.and_then(|cause| cause.downcast_ref::<std::io::Error>()) {
                // the system has no kind for it
                Some(io) if io.to_string().contains("lookup address") => {
                    "the target cannot be reached: the name of its host cannot be resolved".to_owned()
                }
                Some(io) => format!("the target cannot be reached: {}", io.kind()),
                None => "the target cannot be reached".to_owned(),
            }),
        };
        error.into()
    }

    /// A statement was not carried out.
    pub(crate) fn executing(error: &Error) -> Self {
        if let Some(said) = error.as_db_error() {
            return Self::said(said);
        }
        let error = EngineError::retry("the target broke the connection off");
        Self { error, code: None, again: Again::Lost }
    }

    /// The same as when the target says that it has something of that name.
    pub(crate) fn exists(message: &str) -> Self {
        let error = EngineError::refused(message);
        Self { error, code: Some(SqlState::DUPLICATE_OBJECT), again: Again::No }
    }

    pub(crate) fn timeout() -> Self {
        EngineError::retry("the target did not answer in time").into()
    }

    /// What the target said.
    fn said(said: &DbError) -> Self {
        let code = said.code().clone();
        let message = complaint(said);
        let (error, again) = match code.code() {
            "40001" | "40P01" => (EngineError::retry(message), Again::Collided),
            // its own words for two transactions that change one row of its catalogue
            "XX000" if said.message().starts_with("tuple concurrently") => {
                (EngineError::retry(message), Again::Collided)
            }
            // its words for these name addresses
            "28000" | "28P01" => (EngineError::refused(LOGIN_REFUSED), Again::No),
            "57P01" | "57P02" | "57P05" => (EngineError::retry(message), Again::Lost),
            // out of something, starting or stopping, too slow, locked, not the primary at the moment
            text if text.starts_with("53") || text.starts_with("57") || text.starts_with("08") => {
                (EngineError::retry(message), Again::No)
            }
            "55P03" | "25006" => (EngineError::retry(message), Again::No),
            _ => (EngineError::refused(message), Again::No),
        };
        Self { error, code: Some(code), again }
    }

    /// Whether the target, asked and alive, said no to what it was asked: the connection is as good as before.
    pub(crate) fn is_answer(&self) -> bool {
        self.code.is_some() && self.again != Again::Lost
    }

    pub(crate) fn is(&self, code: &SqlState) -> bool {
        self.code.as_ref() == Some(code)
    }

    /// Says which statement of a role it was. One that cannot be right is bad input.
    pub(crate) fn at(mut self, field: &str) -> Self {
        let class = self.code.as_ref().map(SqlState::code).unwrap_or_default();
        let wrong = ["42", "22", "0A", "2B", "25"].iter().any(|start| class.starts_with(start));
        self.error = match self.error.kind {
            ErrorKind::Refused if wrong && class != "42501" => {
                EngineError::bad_input(field, self.error.message)
            }
            ErrorKind::Refused => self.error.at(field),
            kind => EngineError { kind, message: format!("{field}: {}", self.error.message), field: None },
        };
        self
    }

    /// The same as a refusal: what was good input once, and no caller can change now.
    pub(crate) fn refusal(mut self) -> Self {
        if self.error.kind == ErrorKind::BadInput {
            self.error = EngineError::refused(self.error.to_string());
        }
        self
    }
}

const LOGIN_REFUSED: &str = "the target refuses the login: check username, password and its pg_hba.conf";

/// The target's words in one line: what is wrong, what it is about, what to do.
fn complaint(said: &DbError) -> String {
    let mut text = format!("the target says: {}", said.message());
    for more in [said.detail(), said.hint()].into_iter().flatten() {
        text.push_str(". ");
        text.push_str(more.trim_end_matches('.'));
    }
    // the message is cut off at its end: the code, which is short, would be lost
    let text: String = text.replace('\n', "; ").chars().take(450).collect();
    format!("{text} (SQLSTATE {})", said.code().code())
}

/// Does something that can be done again, and does it again where that helps: a bounded number of times, with pauses that
/// differ, so that two that met do not meet again.
pub(crate) async fn repeat<'a, T>(mut work: impl FnMut() -> BoxFuture<'a, Result<T>> + Send) -> Result<T> {
    let (mut collisions, mut losses) = (0, 0);
    loop {
        match work().await {
            Err(failure) if failure.again == Again::Collided && collisions < MAX_COLLISIONS => {
                collisions += 1;
                tokio::time::sleep(pause(collisions)).await;
            }
            Err(failure) if failure.again == Again::Lost && losses == 0 => losses += 1,
            result => return result,
        }
    }
}

/// Up to 4 ms, 8 ms and so on.
fn pause(collisions: u32) -> Duration {
    let most = (2_u64 << collisions.min(10)).min(MAX_PAUSE);
    let random = std::hash::RandomState::new().hash_one(collisions);
    Duration::from_micros(500 + random % (most * 1000))
}
