//! The closed vocabulary of failures.

use std::error::Error as StdError;
use std::fmt;

/// What went wrong, in terms a caller can act on. Absence is not here: it is a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The caller's bytes or names are wrong: a digest that does not match, a malformed record, a bad name.
    Invalid,
    /// More bytes than a limit allows.
    TooLarge,
    /// The caller may not do this.
    Denied,
    /// The quota or the disk is full, and nothing may be dropped.
    Full,
    /// The tier cannot be reached or is shutting down, or a deadline passed.
    Unavailable,
    /// Bytes at rest are not what they were; they have been set aside.
    Corrupt,
    /// The medium or the code failed: an operator should look.
    Failed,
}

impl ErrorKind {
    /// One lower-case word for logs, counters and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::TooLarge => "too-large",
            Self::Denied => "denied",
            Self::Full => "full",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::Failed => "failed",
        }
    }

    /// Whether the same call may succeed a little later without anyone's doing.
    pub const fn may_pass(self) -> bool {
        matches!(self, Self::Unavailable | Self::Full)
    }
}

/// A failure: its kind, what was being done to what, why, and what to do about it where that is known.
///
/// `Display` shows the operation, the subject and the message, not the source: whoever prints walks the chain.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    operation: &'static str,
    message: String,
    hint: Option<&'static str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A result of a storage operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of `operation` (a verb phrase such as `"read segment"`); `message` names the subject and the cause.
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self { kind, operation, message: message.into(), hint: None, source: None }
    }

    /// [`ErrorKind::Invalid`].
    pub fn invalid(operation: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, operation, message)
    }

    /// Adds what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What was being done.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The subject and the cause, without the operation.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the reader can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        self.hint
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<crate::InvalidName> for Error {
    fn from(invalid: crate::InvalidName) -> Self {
        Self::invalid("read name", invalid.to_string())
    }
}
