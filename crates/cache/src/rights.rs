//! Who may do what. A door extracts a credential; here it becomes a caller.

use std::str::FromStr;
use std::sync::Arc;

use larder_base::{ContentHash, Error, ErrorKind, Namespace, Result, Scope};
use subtle::ConstantTimeEq;

/// The secret a client presented, as its protocol carries it (a bearer token, a basic password).
#[derive(Clone)]
pub struct Credential(String);

impl Credential {
    /// A credential from the secret itself.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// The SHA-256 of a token: what is kept of it at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &str) -> Self {
        Self(*ContentHash::of(token.as_bytes()).as_bytes())
    }
}

impl FromStr for TokenHash {
    type Err = Error;

    fn from_str(hex: &str) -> Result<Self> {
        let hash: ContentHash = hex.parse().map_err(|_| {
            Error::invalid("read token hash", "a token's hash is the 64 hexadecimal digits of its SHA-256")
        })?;
        Ok(Self(*hash.as_bytes()))
    }
}

/// Which namespaces a grant is for: one by name, or all whose names begin with what stands before a final `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespacePattern {
    stem: String,
    open: bool,
}

impl NamespacePattern {
    /// Whether a namespace is meant.
    pub fn matches(&self, namespace: &Namespace) -> bool {
        if self.open { namespace.as_str().starts_with(&self.stem) } else { namespace.as_str() == self.stem }
    }
}

impl NamespacePattern {
    fn is_everything(&self) -> bool {
        self.open && self.stem.is_empty()
    }
}

impl FromStr for NamespacePattern {
    type Err = Error;

    fn from_str(pattern: &str) -> Result<Self> {
        let (stem, open) = pattern.strip_suffix('*').map_or((pattern, false), |stem| (stem, true));
        // Checked as a name, with a letter added where the open end stands for one.
        let sample = if open { format!("{stem}x") } else { stem.to_owned() };
        sample.parse::<Namespace>()?;
        Ok(Self { stem: stem.to_owned(), open })
    }
}

/// What the holder of one token may do.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Who holds it: the name that entries keep as their writer.
    pub principal: Arc<str>,
    /// The token's hash.
    pub token: TokenHash,
    /// Where it is good.
    pub namespaces: NamespacePattern,
    /// The scopes it reads, in the order they are looked through.
    pub read: Vec<Scope>,
    /// The one scope it writes, if any.
    pub write: Option<Scope>,
    /// Whether it may list, purge and see everything in its namespaces, whatever the scope.
    pub admin: bool,
}

/// The rule by which callers get their rights.
#[derive(Clone, Debug)]
pub enum Rights {
    /// Everyone is trusted: only for a server that listens on loopback alone.
    Open,
    /// Everyone has these rights, without a token: for a node that listens on loopback or a socket alone and adds a token
    /// of its own.
    Limited(Limits),
    /// Only who presents one of these tokens.
    Tokens(Vec<Grant>),
}

/// What everyone on a machine may do through its node.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Where.
    pub namespaces: NamespacePattern,
    /// The scopes that are read, in the order they are looked through.
    pub read: Vec<Scope>,
    /// The one scope that is written, if any.
    pub write: Option<Scope>,
}

/// Someone whose rights in one namespace are known. Every operation of a door is done as a caller.
#[derive(Clone, Debug)]
pub struct Caller {
    principal: Arc<str>,
    namespace: Namespace,
    read: Vec<Scope>,
    write: Option<Scope>,
    admin: bool,
    /// Whether it is everyone's machine: then whoever asks may write any scope and name any writer.
    open: bool,
}

impl Rights {
    /// The caller that a credential makes in a namespace.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when it has no right there; the message does not tell whether the namespace exists.
    pub fn resolve(&self, credential: Option<&Credential>, namespace: &Namespace) -> Result<Caller> {
        let grants = match self {
            Self::Open => {
                return Ok(Caller {
                    principal: "anyone".into(),
                    namespace: namespace.clone(),
                    read: vec![Scope::Trusted],
                    write: Some(Scope::Trusted),
                    admin: true,
                    open: true,
                });
            }
            Self::Limited(limits) => return limits.caller(namespace),
            Self::Tokens(grants) => grants,
        };
        let denied = |message| Error::new(ErrorKind::Denied, "authorize", message);
        let Some(credential) = credential else {
            return Err(
                denied("a token is needed").with_hint("set LARDER_TOKEN, or the tool's own setting for a token")
            );
        };
        let presented = TokenHash::of(&credential.0);
        // Every grant is compared, whatever matched before, so that time tells nothing about the tokens.
        let mut found = None;
        for grant in grants {
            let equal = bool::from(grant.token.0.ct_eq(&presented.0));
            if equal && grant.namespaces.matches(namespace) {
                found = Some(grant);
            }
        }
        found.map(|grant| grant.caller(namespace)).ok_or_else(|| {
            denied("the token has no rights in this namespace").with_hint("check the token and the namespace's name")
        })
    }
}

impl Rights {
    /// Whether a credential is an operator's: an administrator's of every namespace. Pages about the whole server are for
    /// operators, because they name namespaces.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when it is not.
    pub fn check_operator(&self, credential: Option<&Credential>) -> Result<()> {
        let Self::Tokens(grants) = self else { return Ok(()) };
        let presented = credential.map(|credential| TokenHash::of(&credential.0));
        let mut is_operator = false;
        for grant in grants {
            let equal = presented.is_some_and(|presented| bool::from(grant.token.0.ct_eq(&presented.0)));
            is_operator |= equal && grant.admin && grant.namespaces.is_everything();
        }
        if is_operator {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Denied, "authorize", "this page is for operators")
            .with_hint("use the token of a credential with admin = true and namespaces = \"*\""))
    }
}

impl Limits {
    fn caller(&self, namespace: &Namespace) -> Result<Caller> {
        if !self.namespaces.matches(namespace) {
            return Err(Error::new(ErrorKind::Denied, "authorize", format!("this node is not for {namespace}"))
                .with_hint("[upstream] namespace in the node's configuration says what it is for"));
        }
        Ok(Caller {
            principal: "job".into(),
            namespace: namespace.clone(),
            read: self.read.clone(),
            write: self.write.clone(),
            admin: false,
            open: false,
        })
    }
}

impl Grant {
    fn caller(&self, namespace: &Namespace) -> Caller {
        Caller {
            principal: self.principal.clone(),
            namespace: namespace.clone(),
            read: self.read.clone(),
            write: self.write.clone(),
            admin: self.admin,
            open: false,
        }
    }
}

impl Caller {
    /// A caller for work that was authorised when it was begun and is carried on later, such as after a restart: it
    /// reads and writes the one scope it was allowed to write.
    pub fn resumed(principal: Arc<str>, namespace: Namespace, scope: Scope) -> Self {
        Self { principal, namespace, read: vec![scope.clone()], write: Some(scope), admin: false, open: false }
    }

    /// The name that entries keep as their writer.
    pub fn principal(&self) -> &Arc<str> {
        &self.principal
    }

    /// The namespace these rights are in.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The scopes that lookups go through, in order.
    pub fn read_scopes(&self) -> &[Scope] {
        &self.read
    }

    /// The scope that writes land in.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when the caller may only read.
    pub fn write_scope(&self) -> Result<&Scope> {
        self.write
            .as_ref()
            .ok_or_else(|| Error::new(ErrorKind::Denied, "authorize", format!("{} may only read here", self.principal)))
    }

    /// Whether the caller may write a scope.
    pub fn may_write(&self, scope: &Scope) -> bool {
        self.open || self.write.as_ref() == Some(scope)
    }

    /// Whether the caller may say that somebody else wrote what it writes.
    pub fn speaks_for_others(&self) -> bool {
        self.open
    }

    /// Whether the caller may know what is in a scope: it reads it, or writes it, or is an administrator.
    pub fn may_see(&self, scope: &Scope) -> bool {
        self.admin || self.write.as_ref() == Some(scope) || self.read.contains(scope)
    }

    /// Whether the caller may see and remove entries of every scope in the namespace.
    pub fn is_admin(&self) -> bool {
        self.admin
    }
}

#[cfg(test)]
mod tests;
