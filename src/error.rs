//! The one error type: a code for programs, a sentence for callers, and a private context for the log.
//!
//! The context is the only place where a driver's or the operating system's text may go. It has no
//! `Display` of its own and never reaches a client: [`Error::log_context`] is called once, where the
//! error is answered.

use std::borrow::Cow;
use std::fmt;

/// The stable codes that clients program against (`extensions.code` in GraphQL, `code` in `/v1`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    Unauthenticated,
    Forbidden,
    NotFound,
    BadUserInput,
    Conflict,
    RateLimited,
    Sealed,
    NotInitialized,
    EngineUnavailable,
    QueryTooComplex,
    PersistedQueryNotFound,
    Unavailable,
    Internal,
}

impl ErrorCode {
    pub const ALL: [Self; 13] = [
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::BadUserInput,
        Self::Conflict,
        Self::RateLimited,
        Self::Sealed,
        Self::NotInitialized,
        Self::EngineUnavailable,
        Self::QueryTooComplex,
        Self::PersistedQueryNotFound,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::Conflict => "CONFLICT",
            Self::RateLimited => "RATE_LIMITED",
            Self::Sealed => "SEALED",
            Self::NotInitialized => "NOT_INITIALIZED",
            Self::EngineUnavailable => "ENGINE_UNAVAILABLE",
            Self::QueryTooComplex => "QUERY_TOO_COMPLEX",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }

    /// The HTTP status of this code on the `/v1` doors.
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound | Self::PersistedQueryNotFound => 404,
            Self::BadUserInput | Self::QueryTooComplex => 400,
            Self::Conflict => 409,
            Self::RateLimited => 429,
            Self::NotInitialized => 501,
            Self::Sealed | Self::EngineUnavailable | Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }
}

type Context = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What went wrong, see the module's documentation.
pub struct Error(Box<Inner>);

struct Inner {
    code: ErrorCode,
    message: Cow<'static, str>,
    field: Option<Cow<'static, str>>,
    retry_after_seconds: Option<u64>,
    places: Vec<(usize, usize)>,
    context: Option<Context>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a code and a sentence that tells the caller what to do.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            field: None,
            retry_after_seconds: None,
            places: Vec::new(),
            context: None,
        }))
    }

    /// Bad input, naming the input field (`input.path`, `first`, ...).
    pub fn bad_input(field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        let mut error = Self::new(ErrorCode::BadUserInput, message);
        error.0.field = Some(field.into());
        error
    }

    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Forbidden, message)
    }

    pub fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Conflict, message)
    }

    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(
            ErrorCode::Unauthenticated,
            "a valid token is needed: send it as 'Authorization: Bearer TOKEN'",
        )
    }

    #[must_use]
    pub fn sealed() -> Self {
        Self::new(ErrorCode::Sealed, "the server is sealed: unseal it with a quorum of key shares first")
    }

    #[must_use]
    pub fn not_initialized() -> Self {
        Self::new(
            ErrorCode::NotInitialized,
            "the server is not initialised: run 'secrethub operator init' first",
        )
    }

    /// Something this server depends on does not answer; the same request may succeed later.
    pub fn unavailable(context: impl Into<Context>) -> Self {
        Self::new(ErrorCode::Unavailable, "the store does not answer at the moment: try again shortly")
            .with_context(context)
    }

    /// A fault of this server. The caller learns nothing but the request id.
    pub fn internal(context: impl Into<Context>) -> Self {
        Self::new(ErrorCode::Internal, "an internal error occurred: report the request id to the operator")
            .with_context(context)
    }

    #[must_use]
    pub fn with_context(mut self, context: impl Into<Context>) -> Self {
        self.0.context = Some(context.into());
        self
    }

    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after_seconds = Some(seconds);
        self
    }

    /// The same error under another input field's name (`document` becomes `input.document`).
    #[must_use]
    pub fn at_field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Where in the text of the request it is: lines and columns, both from 1.
    #[must_use]
    pub fn at_places(mut self, places: Vec<(usize, usize)>) -> Self {
        self.0.places = places;
        self
    }

    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The sentence for the caller.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    #[must_use]
    pub fn places(&self) -> &[(usize, usize)] {
        &self.0.places
    }

    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.0.retry_after_seconds
    }

    /// The private context, as text for the server's own log and for nothing else.
    #[must_use]
    pub fn log_context(&self) -> Option<String> {
        let context = self.0.context.as_ref()?;
        let mut text = context.to_string();
        let mut source = context.source();
        while let Some(inner) = source {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            source = inner.source();
        }
        Some(text)
    }
}

/// Shows code, field and public sentence. The context is left out on purpose.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.code.as_str())?;
        if let Some(field) = &self.0.field {
            write!(f, " at {field}")?;
        }
        write!(f, ": {}", self.0.message)
    }
}

/// For programs that end with this error (the command line): code and sentence, no context.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Error {}
