//! What AWS answered, sorted by what can be done about it.

use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use secrethub_engine::{EngineError, Result};

/// What kind of answer it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// What was asked about is not there.
    Gone,
    /// What was to be created is there already.
    Exists,
    /// It cannot be deleted yet: something still belongs to it.
    Conflict,
    /// AWS is busy, out of order, or not to be reached.
    Passing,
    /// A policy document is not one, or too long.
    Document,
    /// Something else that was sent will never do.
    Input,
    /// The access key is not accepted: wrong, deleted, ended, or too new.
    Key,
    /// Not allowed, or beyond a quota.
    Refused,
}

/// A failed call. Its message is AWS's own, unless that may repeat what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub cause: Cause,
    pub message: String,
}

const KEY_REFUSED: &str =
    "AWS does not accept the access key: it is wrong, deleted or ended, or this machine's clock is off";

impl Failure {
    fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self { cause, message: message.into() }
    }

    /// AWS left out what it should have answered.
    #[must_use]
    pub fn unreadable() -> Self {
        Self::new(Cause::Passing, "AWS gave an answer that cannot be read")
    }

    /// For the engine's caller: what could not be done, and why.
    #[must_use]
    pub fn at(self, doing: &str, field: &str) -> EngineError {
        let message = format!("{doing}: {}", self.message);
        match self.cause {
            Cause::Document | Cause::Input | Cause::Gone => EngineError::bad_input(field, message),
            Cause::Passing | Cause::Conflict | Cause::Exists => EngineError::retry(message),
            Cause::Key | Cause::Refused => EngineError::refused(message),
        }
    }

    /// As [`Failure::at`], where no field of the input can be at fault.
    #[must_use]
    pub fn doing(self, doing: &str) -> EngineError {
        let message = format!("{doing}: {}", self.message);
        match self.cause {
            Cause::Passing | Cause::Conflict | Cause::Exists => EngineError::retry(message),
            _ => EngineError::refused(message),
        }
    }

    /// Whether it is about this name: what AWS does not find is then the user just made, which not all of AWS knows of yet.
    #[must_use]
    pub fn for_new_user(mut self, name: &str) -> Self {
        if self.cause == Cause::Gone && self.message.contains(name) {
            self.cause = Cause::Passing;
        }
        self
    }
}

impl<E: ProvideErrorMetadata> From<SdkError<E>> for Failure {
    fn from(error: SdkError<E>) -> Self {
        match &error {
            SdkError::ConstructionFailure(_) => {
                Self::new(Cause::Refused, "the request cannot be made: check the region and the endpoints")
            }
            SdkError::TimeoutError(_) => Self::new(Cause::Passing, "AWS did not answer in time"),
            SdkError::DispatchFailure(_) => Self::new(
                Cause::Passing,
                "AWS cannot be reached: check the network, the endpoints and their certificates",
            ),
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                match answer.err().code() {
                    Some(code) => of_service(Some(code), answer.err().message(), status),
                    None => {
                        let text =
                            answer.raw().body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
                        let message = element(&text, "Message");
                        of_service(element(&text, "Code").as_deref(), message.as_deref(), status)
                    }
                }
            }
            _ => Self::unreadable(),
        }
    }
}

/// What the first element of this name contains. For answers that the SDK finds no error in, since it is not where AWS has it:
/// a gateway's, say.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    Some(text.replace("&amp;", "&"))
}

/// Sorts a service's own error.
fn of_service(code: Option<&str>, message: Option<&str>, status: u16) -> Failure {
    let Some(code) = code else {
        let cause = if status >= 500 || status == 429 { Cause::Passing } else { Cause::Refused };
        return Failure::new(cause, format!("AWS answered with status {status}"));
    };
    let cause = cause_of(code, status);
    if cause == Cause::Key {
        // AWS repeats the headers that were signed here, a session token among them
        return Failure::new(cause, KEY_REFUSED);
    }
    let message = message.map(plain).filter(|message| !message.is_empty());
    Failure::new(cause, message.unwrap_or_else(|| code.to_owned()))
}

fn cause_of(code: &str, status: u16) -> Cause {
    match code {
        "NoSuchEntity" | "NoSuchEntityException" => Cause::Gone,
        "EntityAlreadyExists" | "EntityAlreadyExistsException" => Cause::Exists,
        "DeleteConflict" | "DeleteConflictException" => Cause::Conflict,
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "SlowDown"
        | "ConcurrentModification"
        | "EntityTemporarilyUnmodifiable"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "InternalFailure"
        | "InternalError"
        | "ServiceFailure"
        | "ServiceUnavailable"
        | "IDPCommunicationError" => Cause::Passing,
        "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "UnrecognizedClientException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidToken"
        | "RequestExpired"
        | "AuthFailure" => Cause::Key,
        "MalformedPolicyDocument"
        | "MalformedPolicyDocumentException"
        | "PackedPolicyTooLarge"
        | "PackedPolicyTooLargeException" => Cause::Document,
        "InvalidInput"
        | "InvalidInputException"
        | "ValidationError"
        | "ValidationException"
        | "PolicyNotAttachable"
        | "InvalidParameterValue" => Cause::Input,
        // AccessDenied, LimitExceeded, OptInRequired, RegionDisabled, UnmodifiableEntity, and what is new
        _ if status >= 500 || status == 429 => Cause::Passing,
        _ => Cause::Refused,
    }
}

/// One line without a full stop.
fn plain(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}

/// The result, or `None` if what was asked about is gone.
///
/// # Errors
/// Whatever else AWS answered, of which no input is at fault.
pub fn unless_gone<T, E: ProvideErrorMetadata>(
    result: std::result::Result<T, SdkError<E>>,
    doing: &str,
) -> Result<Option<T>> {
    match result.map_err(Failure::from) {
        Ok(value) => Ok(Some(value)),
        Err(failure) if failure.cause == Cause::Gone => Ok(None),
        Err(failure) => Err(failure.doing(doing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrethub_engine::ErrorKind;

    #[test]
    fn answers_are_sorted() {
        for (code, status, kind) in [
            ("Throttling", 400, ErrorKind::Retry),
            ("ServiceFailure", 500, ErrorKind::Retry),
            ("SomethingNew", 503, ErrorKind::Retry),
            ("SomethingNew", 400, ErrorKind::Refused),
            ("AccessDenied", 403, ErrorKind::Refused),
            ("LimitExceeded", 409, ErrorKind::Refused),
            ("InvalidClientTokenId", 403, ErrorKind::Refused),
            ("MalformedPolicyDocument", 400, ErrorKind::BadInput),
            ("NoSuchEntity", 404, ErrorKind::BadInput),
            ("DeleteConflict", 409, ErrorKind::Retry),
        ] {
            let error = of_service(Some(code), Some("no\n  way."), status).at("cannot do it", "f");
            assert_eq!(error.kind, kind, "{code}");
            assert_eq!(error.field.is_some(), kind == ErrorKind::BadInput, "{code}");
        }
        let error = of_service(Some("AccessDenied"), Some("no\n  way."), 403).doing("cannot do it");
        assert_eq!(error.message, "cannot do it: no way");
        assert_eq!(of_service(None, None, 502).cause, Cause::Passing);
        assert_eq!(of_service(None, None, 403).cause, Cause::Refused);
    }

    #[test]
    fn what_was_signed_is_not_repeated() {
        let said = "The Canonical String should have been 'x-amz-security-token:hunter2'";
        let failure = of_service(Some("SignatureDoesNotMatch"), Some(said), 403);
        assert!(!failure.message.contains("hunter2"));
    }

    #[test]
    fn errors_are_found_where_aws_does_not_have_them() {
        let xml =
            "<E><Errors><Error><Code>AccessDenied</Code><Message>a &amp;lt; b</Message></Error></Errors></E>";
        assert_eq!(element(xml, "Code").as_deref(), Some("AccessDenied"));
        assert_eq!(element(xml, "Message").as_deref(), Some("a &lt; b"));
        assert_eq!(element("<html>", "Code"), None);
    }

    #[test]
    fn a_new_user_may_not_be_known_everywhere() {
        let gone = of_service(Some("NoSuchEntity"), Some("The user with name u1 cannot be found."), 404);
        assert_eq!(gone.clone().for_new_user("u1").cause, Cause::Passing);
        assert_eq!(gone.for_new_user("u2").cause, Cause::Gone);
    }
}
