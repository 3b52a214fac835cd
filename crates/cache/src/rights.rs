//! Who may do what. A door extracts a credential; here it becomes a caller.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use larder_base::{ContentHash, EntryAddress, Error, ErrorKind, Namespace, Result, Scope};
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

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

    /// The hash in hexadecimal, as it is kept.
    pub fn to_hex(&self) -> String {
        ContentHash::sha256(self.0).to_hex()
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

    /// Whether every namespace that `other` means is meant too.
    pub fn covers(&self, other: &Self) -> bool {
        if self.open { other.stem.starts_with(&self.stem) } else { self == other }
    }
}

impl fmt::Display for NamespacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.stem, if self.open { "*" } else { "" })
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
    Limited(JobGrant),
    /// Only who presents one of these tokens.
    Tokens(Vec<Grant>),
}

/// What everyone on a machine may do through its node.
#[derive(Clone, Debug)]
pub struct JobGrant {
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
    /// The caller that a credential makes in a namespace, by these rights and by `issued` ones beside them.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when it has no right there; the message does not tell whether the namespace exists.
    pub fn resolve<'a>(
        &'a self,
        credential: Option<&Credential>,
        namespace: &Namespace,
        issued: impl IntoIterator<Item = &'a Grant>,
    ) -> Result<Caller> {
        match self {
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
            Self::Limited(jobs) => return jobs.caller(namespace),
            Self::Tokens(_) => {}
        }
        let denied = |message| Error::new(ErrorKind::Denied, "authorize", message);
        let Some(credential) = credential else {
            return Err(
                denied("a token is needed").with_hint("set LARDER_TOKEN, or the tool's own setting for a token")
            );
        };
        let held = self.held_by(credential, issued);
        let found = held.into_iter().rfind(|grant| grant.namespaces.matches(namespace));
        found.map(|grant| grant.caller(namespace)).ok_or_else(|| {
            denied("the token has no rights in this namespace").with_hint("check the token and the namespace's name")
        })
    }

    /// Whether a credential is an operator's: an administrator's of every namespace. Pages about the whole server are for
    /// operators, because they name namespaces.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when it is not.
    pub fn check_operator<'a>(
        &'a self,
        credential: Option<&Credential>,
        issued: impl IntoIterator<Item = &'a Grant>,
    ) -> Result<()> {
        let held = credential.map(|credential| self.held_by(credential, issued)).unwrap_or_default();
        if self.is_open() || held.iter().any(|grant| grant.admin && grant.namespaces.is_everything()) {
            return Ok(());
        }
        let denied = Error::new(ErrorKind::Denied, "authorize", "this page is for operators");
        Err(denied.with_hint(match self {
            Self::Limited(_) => {
                "a node without [[credentials]] knows jobs alone: give it one with admin = true and namespaces = \"*\""
            }
            Self::Open | Self::Tokens(_) => "use the token of a credential with admin = true and namespaces = \"*\"",
        }))
    }

    /// Whether everyone may see the server's numbers: who is on a node's machine looks after it, without a token. What
    /// could quote a key is no number.
    pub fn shows_numbers(&self) -> bool {
        matches!(self, Self::Open | Self::Limited(_))
    }

    /// The namespaces that a credential is an administrator of; all of them on an open server.
    pub fn administered<'a>(
        &'a self,
        credential: Option<&Credential>,
        issued: impl IntoIterator<Item = &'a Grant>,
    ) -> Vec<NamespacePattern> {
        if self.is_open() {
            return vec![NamespacePattern { stem: String::new(), open: true }];
        }
        let held = credential.map(|credential| self.held_by(credential, issued)).unwrap_or_default();
        held.into_iter().filter(|grant| grant.admin).map(|grant| grant.namespaces.clone()).collect()
    }

    /// Whether everyone is trusted.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// The grants of a token. Every one there is is compared, whatever matched before, so that time tells nothing about
    /// the tokens.
    fn held_by<'a>(&'a self, credential: &Credential, issued: impl IntoIterator<Item = &'a Grant>) -> Vec<&'a Grant> {
        let presented = TokenHash::of(&credential.0);
        let configured = self.configured().iter();
        configured.chain(issued).filter(|grant| bool::from(grant.token.0.ct_eq(&presented.0))).collect()
    }

    /// The grants that these rights were made with.
    pub fn configured(&self) -> &[Grant] {
        match self {
            Self::Open | Self::Limited(_) => &[],
            Self::Tokens(grants) => grants,
        }
    }
}

impl JobGrant {
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
    /// Refuses a grant through which what a pull request wrote would reach another scope: whoever reads it and writes
    /// elsewhere carries it there.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], naming the two scopes.
    pub fn check(&self) -> Result<()> {
        let Some(write) = &self.write else { return Ok(()) };
        match self.read.iter().find(|read| matches!(read, Scope::Pr(_)) && *read != write) {
            None => Ok(()),
            Some(read) => Err(Error::invalid(
                "check rights",
                format!("{} would read {read} and write {write}, which carries the one into the other", self.principal),
            )
            .with_hint("a token that reads a pull request's scope may write that scope or none")),
        }
    }

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

    /// The scopes that the caller may know of without being an administrator, each once.
    pub fn visible_scopes(&self) -> Vec<Scope> {
        let mut scopes = Vec::with_capacity(self.read.len() + 1);
        for scope in self.read.iter().chain(&self.write) {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        scopes
    }

    /// Whether the caller may know who restored an entry: one that it may see. Who comes from a pull request knows that of
    /// the entries of pull requests only: who else works with what is trusted is none of its business.
    pub fn may_see_readers(&self, address: &EntryAddress) -> bool {
        let is_of_pr = |scope: &Scope| matches!(scope, Scope::Pr(_));
        let from_pr = self.read.iter().chain(&self.write).any(is_of_pr);
        address.namespace == self.namespace
            && self.may_see(&address.scope)
            && (self.admin || !from_pr || is_of_pr(&address.scope))
    }

    /// Whether the caller may see and remove entries of every scope in the namespace.
    pub fn is_admin(&self) -> bool {
        self.admin
    }
}

#[cfg(test)]
mod tests;
