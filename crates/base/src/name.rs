//! Names that come from outside, parsed once and then passed as types.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The most bytes of a namespace's name.
pub const NAMESPACE_MAX_BYTES: usize = 128;
/// The most bytes of the free part of a scope's name.
pub const SCOPE_NAME_MAX_BYTES: usize = 255;
/// The most characters of an entry's key.
pub const KEY_MAX_CHARS: usize = 512;

/// A name that breaks its rule; the message says which name, what is wrong and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {name:?} {problem}")]
pub struct InvalidName {
    what: &'static str,
    name: String,
    problem: &'static str,
}

impl InvalidName {
    fn new(what: &'static str, name: &str, problem: &'static str) -> Self {
        // A hostile name may be huge; what is shown of it is bounded.
        Self { what, name: name.chars().take(80).collect(), problem }
    }
}

/// A project: the tenant wall. Keys of one never match in another, and existence does not leak.
///
/// 1 to 128 bytes of ASCII letters, digits and `.` `_` `-` `~`, so that it stands in a URL as it is; never `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Namespace {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let invalid = |problem| Err(InvalidName::new("namespace", name, problem));
        if name.is_empty() || name.len() > NAMESPACE_MAX_BYTES {
            return invalid("must have 1 to 128 characters");
        }
        if matches!(name, "." | "..") {
            return invalid("means a directory; choose a word");
        }
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-~".contains(&b)) {
            return invalid("may hold only ASCII letters, digits and . _ - ~");
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A trust level inside a namespace. Writes go to the caller's own; reads go through an ordered list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// What protected branches and operators write; everyone may be allowed to read it.
    Trusted,
    /// One branch or tag.
    Ref(Arc<str>),
    /// One pull request.
    Pr(u64),
    /// One person's machine.
    User(Arc<str>),
}

impl FromStr for Scope {
    type Err = InvalidName;

    /// Reads `trusted`, `ref/<name>`, `pr/<number>` or `user/<id>`.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = |problem| InvalidName::new("scope", text, problem);
        let free = |name: &str| {
            if name.is_empty() || name.len() > SCOPE_NAME_MAX_BYTES || name.chars().any(char::is_control) {
                return Err(invalid("needs a name of 1 to 255 printable bytes after the slash"));
            }
            Ok(Arc::from(name))
        };
        match text.split_once('/') {
            None if text == "trusted" => Ok(Self::Trusted),
            Some(("ref", name)) => Ok(Self::Ref(free(name)?)),
            Some(("user", id)) => Ok(Self::User(free(id)?)),
            Some(("pr", number)) => number.parse().map(Self::Pr).map_err(|_| invalid("needs a number after pr/")),
            _ => Err(invalid("must be trusted, ref/<name>, pr/<number> or user/<id>")),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trusted => f.write_str("trusted"),
            Self::Ref(name) => write!(f, "ref/{name}"),
            Self::Pr(number) => write!(f, "pr/{number}"),
            Self::User(id) => write!(f, "user/{id}"),
        }
    }
}

/// The name of a door: part of every entry's address, so that keys of two protocols never collide.
///
/// One lower-case word: `[a-z][a-z0-9-]*`, at most 32 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DoorName(Cow<'static, str>);

impl DoorName {
    /// A name known when the code is written.
    ///
    /// # Panics
    /// When it is not a valid door name; in a `const` that is an error of the build.
    pub const fn new(name: &'static str) -> Self {
        assert!(Self::is_valid(name.as_bytes()), "a door's name is one lower-case word of at most 32 bytes");
        Self(Cow::Borrowed(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    const fn is_valid(name: &[u8]) -> bool {
        if name.is_empty() || name.len() > 32 || !name[0].is_ascii_lowercase() {
            return false;
        }
        let mut at = 1;
        while at < name.len() {
            let byte = name[at];
            if !byte.is_ascii_lowercase() && !byte.is_ascii_digit() && byte != b'-' {
                return false;
            }
            at += 1;
        }
        true
    }
}

impl FromStr for DoorName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        if Self::is_valid(name.as_bytes()) {
            Ok(Self(Cow::Owned(name.to_owned())))
        } else {
            Err(InvalidName::new("door", name, "must be one lower-case word of at most 32 letters, digits and -"))
        }
    }
}

impl fmt::Display for DoorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client calls an entry: 1 to 512 characters of printable UTF-8.
///
/// A key is a value in a database, never a path or an object's name, so any printable text is safe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Checks text that is the start of keys; unlike a key it may be empty.
    ///
    /// # Errors
    /// When it is longer than a key may be, or holds a control character.
    pub fn check_prefix(prefix: &str) -> Result<(), InvalidName> {
        let invalid = |problem| Err(InvalidName::new("key", prefix, problem));
        if prefix.len() > KEY_MAX_CHARS * 4 || prefix.chars().count() > KEY_MAX_CHARS {
            return invalid("is too long: at most 512 characters");
        }
        if prefix.chars().any(char::is_control) {
            return invalid("holds a control character; only printable text is allowed");
        }
        Ok(())
    }
}

impl FromStr for Key {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() {
            return Err(InvalidName::new("key", text, "is empty: a key has 1 to 512 characters"));
        }
        Self::check_prefix(text)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
