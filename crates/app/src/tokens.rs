//! The tokens that a server gave out: one small file in its data directory, which holds their hashes only.
//!
//! They are no entries, because a cache may lose those.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use larder_base::{ContentHash, Error, ErrorKind, Result, Timestamp};
use larder_cache::{Grant, IssuedToken, IssuedTokens, NamespacePattern, TokenHash};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// The file in the data directory.
const FILE: &str = "tokens.json";
const VERSION: u32 = 1;
/// Each request compares its token with all of them.
const TOKENS_MAX: usize = 1000;
/// The most bytes of a name, which entries keep as their writer.
const NAME_MAX_BYTES: usize = 100;
/// What a token begins with, so that people and scanners for leaked secrets know it.
const TOKEN_PREFIX: &str = "larder_";

/// What a new token is to be good for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Whose it is; entries keep it as their writer. Without one it is made from the token's id.
    #[serde(default)]
    pub name: Option<String>,
    /// A namespace, or the beginning of some and `*`.
    pub namespaces: String,
    /// The scopes it reads, in order. Without any: the one it writes, then `trusted`.
    #[serde(default)]
    pub read: Vec<String>,
    /// The scope it writes, if any.
    #[serde(default)]
    pub write: Option<String>,
    /// Whether it may see and purge every scope.
    #[serde(default)]
    pub admin: bool,
    /// After how many milliseconds it is good no more; never, without.
    #[serde(default)]
    pub expires_in_ms: Option<u64>,
}

/// A token that was given out, as it is kept and listed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    name: String,
    token_sha256: String,
    namespaces: String,
    read: Vec<String>,
    write: Option<String>,
    admin: bool,
    created_ms: u64,
    expires_ms: Option<u64>,
}

/// A token as a listing shows it: never the token, nor its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenLine {
    /// What it is revoked by.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// Where it is good.
    pub namespaces: String,
    /// The scopes it reads.
    pub read: Vec<String>,
    /// The scope it writes.
    pub write: Option<String>,
    /// Whether it may see and purge every scope.
    pub admin: bool,
    /// When it was given out.
    pub created_ms: u64,
    /// Until when it is good.
    pub expires_ms: Option<u64>,
}

/// A new token, shown this once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewToken {
    /// The token itself.
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub line: TokenLine,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    tokens: Vec<Line>,
}

/// The tokens of a data directory. Only one process may have it, as with the data itself.
pub struct TokenFile {
    path: PathBuf,
    /// Names that the configuration has given away.
    taken: Vec<String>,
    issued: IssuedTokens,
    /// Held while the file is written, so that no change is lost to another.
    writing: Mutex<()>,
}

impl TokenFile {
    /// Whether a token was ever given out for a data directory.
    pub fn exists(data: &Path) -> bool {
        data.join(FILE).exists()
    }

    /// Reads the tokens of a data directory into `issued`, which is kept up to date from then on.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the file is not what Larder writes: nobody's rights are guessed.
    pub fn open(data: &Path, configured: &[Grant], issued: IssuedTokens) -> Result<Self> {
        let path = data.join(FILE);
        let taken = configured.iter().map(|grant| grant.principal.to_string()).collect();
        let file = Self { path, taken, issued, writing: Mutex::default() };
        match fs::read(&file.path) {
            Ok(text) => {
                let contents: Contents =
                    serde_json::from_slice(&text).map_err(|error| file.corrupt().with_source(error))?;
                if contents.version != VERSION {
                    return Err(file.corrupt());
                }
                file.issued.replace(contents.tokens.into_iter().map(Line::parse).collect::<Result<_>>()?);
            }
            Err(error) if error.kind() == IoErrorKind::NotFound => {}
            Err(error) => return Err(file.failed("read tokens", error)),
        }
        Ok(file)
    }

    /// Gives out a token made of these random bytes. Tokens past their time are forgotten by the way.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what makes no sense or a name that is taken, [`ErrorKind::TooLarge`] beyond the number of
    /// tokens, [`ErrorKind::Failed`] when it cannot be kept; then it is not good either.
    pub fn create(&self, request: &TokenRequest, random: [u8; 40], now: Timestamp) -> Result<NewToken> {
        let _writing = self.writing.lock();
        let mut tokens: Vec<IssuedToken> =
            self.issued.current().iter().filter(|old| old.is_good(now)).cloned().collect();
        if tokens.len() >= TOKENS_MAX {
            let message = format!("{TOKENS_MAX} tokens are given out, and no more may be");
            return Err(Error::new(ErrorKind::TooLarge, "create token", message)
                .with_hint("revoke some, or give them a time after which they end"));
        }
        let (secret, id) = random.split_at(32);
        let token = format!("{TOKEN_PREFIX}{}", hex(secret));
        let id = hex(id);
        let name = request.name.clone().unwrap_or_else(|| format!("token-{id}"));
        if name.is_empty() || name.len() > NAME_MAX_BYTES || name.chars().any(char::is_control) {
            let message = format!("a token's name has 1 to {NAME_MAX_BYTES} printable bytes");
            return Err(Error::invalid("create token", message));
        }
        // What one writer may hold, and whose an upload is, goes by this name.
        if self.taken.contains(&name) || tokens.iter().any(|other| *other.grant.principal == *name) {
            return Err(Error::invalid("create token", format!("the name {name:?} is taken")));
        }
        if request.expires_in_ms == Some(0) {
            return Err(Error::invalid("create token", "a token that expires at once is good for nothing")
                .with_hint("say after how long, such as --expires 14d, or leave it out"));
        }
        let grant = grant_of(&name, TokenHash::of(&token), request)?;
        let expires = request.expires_in_ms.map(|life| now.plus(std::time::Duration::from_millis(life)));
        let issued = IssuedToken { id, grant, created: now, expires };
        let line = line_of(&issued);
        tokens.push(issued);
        self.write(tokens)?;
        Ok(NewToken { token, line })
    }

    /// The tokens that are good for namespaces which one of these patterns covers.
    pub fn list(&self, administered: &[NamespacePattern]) -> Vec<TokenLine> {
        let current = self.issued.current();
        current.iter().filter(|token| is_covered(administered, &token.grant.namespaces)).map(line_of).collect()
    }

    /// Takes back the token of this id, if it is one that these patterns cover; from now on it is good for nothing.
    ///
    /// # Errors
    /// When that cannot be kept; the token then stays good.
    pub fn revoke(&self, id: &str, administered: &[NamespacePattern]) -> Result<Option<TokenLine>> {
        let _writing = self.writing.lock();
        let mut tokens = self.issued.current().to_vec();
        let found = |token: &IssuedToken| token.id == id && is_covered(administered, &token.grant.namespaces);
        let Some(at) = tokens.iter().position(found) else { return Ok(None) };
        let line = line_of(&tokens.remove(at));
        self.write(tokens)?;
        Ok(Some(line))
    }

    /// Writes the file anew, aside and renamed, so that a crash leaves the old or the new; only then do the tokens count.
    fn write(&self, tokens: Vec<IssuedToken>) -> Result<()> {
        let lines = tokens.iter().map(Line::of).collect();
        let text = serde_json::to_vec_pretty(&Contents { version: VERSION, tokens: lines });
        let text = text.expect("names and numbers are JSON");
        let aside = self.path.with_extension("json.new");
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&aside, &self.path)?;
            // A token that was taken back must not be good again after a crash.
            match self.path.parent() {
                Some(folder) => fs::File::open(folder)?.sync_all(),
                None => Ok(()),
            }
        };
        write().map_err(|error| self.failed("write tokens", error))?;
        self.issued.replace(tokens);
        Ok(())
    }

    fn failed(&self, operation: &'static str, source: std::io::Error) -> Error {
        Error::new(ErrorKind::Failed, operation, self.path.display().to_string()).with_source(source)
    }

    fn corrupt(&self) -> Error {
        let message = format!("{} is not what this Larder writes", self.path.display());
        Error::new(ErrorKind::Corrupt, "read tokens", message)
            .with_hint("put back a copy, or remove the file and give out new tokens")
    }
}

/// Whether all of these namespaces are within one that is administered.
pub fn is_covered(administered: &[NamespacePattern], namespaces: &NamespacePattern) -> bool {
    administered.iter().any(|pattern| pattern.covers(namespaces))
}

/// Bytes to make a token of.
///
/// # Errors
/// [`ErrorKind::Failed`] when the system gives none.
pub fn random() -> Result<[u8; 40]> {
    let mut random = [0; 40];
    getrandom::fill(&mut random)
        .map_err(|_| Error::new(ErrorKind::Failed, "make token", "the system gave no random bytes"))?;
    Ok(random)
}

fn grant_of(name: &str, token: TokenHash, request: &TokenRequest) -> Result<Grant> {
    let write = request.write.as_deref().map(str::parse).transpose()?;
    let mut read: Vec<larder_base::Scope> = request.read.iter().map(|scope| scope.parse()).collect::<Result<_, _>>()?;
    if read.is_empty() {
        read.extend(write.clone());
        if write != Some(larder_base::Scope::Trusted) {
            read.push(larder_base::Scope::Trusted);
        }
    }
    let namespaces = request.namespaces.parse()?;
    let grant = Grant { principal: name.into(), token, namespaces, read, write, admin: request.admin };
    grant.check()?;
    Ok(grant)
}

fn line_of(token: &IssuedToken) -> TokenLine {
    let Line { id, name, token_sha256: _, namespaces, read, write, admin, created_ms, expires_ms } = Line::of(token);
    TokenLine { id, name, namespaces, read, write, admin, created_ms, expires_ms }
}

impl Line {
    fn of(token: &IssuedToken) -> Self {
        let IssuedToken { id, grant, created, expires } = token;
        Self {
            id: id.clone(),
            name: grant.principal.to_string(),
            token_sha256: grant.token.to_hex(),
            namespaces: grant.namespaces.to_string(),
            read: grant.read.iter().map(ToString::to_string).collect(),
            write: grant.write.as_ref().map(ToString::to_string),
            admin: grant.admin,
            created_ms: created.as_millis(),
            expires_ms: expires.map(Timestamp::as_millis),
        }
    }

    fn parse(self) -> Result<IssuedToken> {
        let read = self.read.iter().map(|scope| scope.parse()).collect::<Result<_, _>>()?;
        let grant = Grant {
            principal: self.name.into(),
            token: self.token_sha256.parse()?,
            namespaces: self.namespaces.parse()?,
            read,
            write: self.write.as_deref().map(str::parse).transpose()?,
            admin: self.admin,
        };
        let (created, expires) = (Timestamp::from_millis(self.created_ms), self.expires_ms.map(Timestamp::from_millis));
        Ok(IssuedToken { id: self.id, grant, created, expires })
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut padded = [0; 32];
    padded[..bytes.len()].copy_from_slice(bytes);
    let mut hex = ContentHash::sha256(padded).to_hex();
    hex.truncate(2 * bytes.len());
    hex
}

#[cfg(test)]
mod tests;
