//! Credentials, and the places they come from.
//!
//! Nothing here looks at the environment or at files: the application hands in what it read, and the addresses of the
//! services that give out credentials.

mod instance;
mod profile;
mod web_identity;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use larder_base::{Clock, Error, ErrorKind, Result, Timestamp};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::HttpClient;

pub use profile::Profile;
pub use web_identity::WebIdentity;

/// How long before their end credentials are fetched anew.
const REFRESH_BEFORE: Duration = Duration::from_secs(300);
/// The most bytes of an answer that holds credentials.
const ANSWER_MAX_BYTES: usize = 256 * 1024;

/// What signs requests.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// What goes with the keys of a session.
    pub session_token: Option<String>,
    /// When a session ends.
    pub expires: Option<Timestamp>,
}

/// One place that credentials may come from.
#[derive(Clone)]
pub enum CredentialSource {
    /// These, for as long as they are good.
    Static(Credentials),
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` of these variables.
    Environment(BTreeMap<String, String>),
    /// A profile of the files that Amazon's tools use.
    Profile(Profile),
    /// A role that is taken on with a token of the platform (Kubernetes, CI).
    WebIdentity(WebIdentity),
    /// The metadata service of a machine, at this address (`http://169.254.169.254`), asked by its version 2.
    Instance(String),
}

/// Places to look for credentials, in order; what was found is kept until shortly before it ends.
///
/// The first place that has any is used. A place that is set up and fails is an error, and not a reason to go on with
/// somebody else's credentials.
pub struct CredentialChain {
    sources: Vec<CredentialSource>,
    http: HttpClient,
    clock: Arc<dyn Clock>,
    kept: Mutex<Option<Credentials>>,
}

impl CredentialChain {
    /// A chain. `http` asks the services; one with little patience, as a machine may have none.
    pub fn new(sources: Vec<CredentialSource>, http: HttpClient, clock: Arc<dyn Clock>) -> Self {
        Self { sources, http, clock, kept: Mutex::new(None) }
    }

    /// Credentials that are good for a while. Callers that come at once share one look-up.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when no place has any, [`ErrorKind::Unavailable`] when a service does not answer.
    pub async fn current(&self) -> Result<Credentials> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        if let Some(credentials) = kept.as_ref().filter(|credentials| credentials.lasts(now, REFRESH_BEFORE)) {
            return Ok(credentials.clone());
        }
        match self.look().await {
            Ok(found) => Ok(kept.insert(found).clone()),
            Err(error) => match kept.as_ref().filter(|credentials| credentials.lasts(now, Duration::ZERO)) {
                Some(credentials) => {
                    tracing::warn!(%error, "credentials could not be renewed; those at hand are good for a little longer");
                    Ok(credentials.clone())
                }
                None => Err(error),
            },
        }
    }

    /// Forgets these credentials, which a store has refused, so that the next look fetches others.
    pub(super) async fn forget(&self, refused: &Credentials) {
        let mut kept = self.kept.lock().await;
        if kept.as_ref() == Some(refused) {
            *kept = None;
        }
    }

    async fn look(&self) -> Result<Credentials> {
        let mut absent = Vec::new();
        for source in &self.sources {
            let found = match source {
                CredentialSource::Static(credentials) => Ok(credentials.clone()),
                CredentialSource::Environment(variables) => from_variables(variables)?,
                CredentialSource::Profile(profile) => profile.credentials()?,
                CredentialSource::WebIdentity(identity) => Ok(identity.assume(&self.http).await?),
                CredentialSource::Instance(service) => instance::ask(&self.http, service).await?,
            };
            match found {
                Ok(credentials) => return Ok(credentials),
                Err(reason) => absent.push(reason),
            }
        }
        let message = match absent.as_slice() {
            [] => "no place to look for credentials is configured".to_owned(),
            absent => format!("there are no credentials: {}", absent.join("; ")),
        };
        Err(Error::new(ErrorKind::Denied, "find credentials", message)
            .with_hint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"))
    }
}

/// Credentials, or why a place has none: a few words. A fault of the place is an error around it.
type Found = std::result::Result<Credentials, String>;

impl Credentials {
    /// Credentials that do not end.
    pub fn lasting(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        let (access_key_id, secret_access_key) = (access_key_id.into(), secret_access_key.into());
        Self { access_key_id, secret_access_key, session_token: None, expires: None }
    }

    fn lasts(&self, now: Timestamp, spare: Duration) -> bool {
        self.expires.is_none_or(|expires| now.plus(spare) < expires)
    }
}

/// The secret halves are in no log.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("session", &self.session_token.is_some())
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static(_) => "Static",
            Self::Environment(_) => "Environment",
            Self::Profile(_) => "Profile",
            Self::WebIdentity(_) => "WebIdentity",
            Self::Instance(_) => "Instance",
        })
    }
}

impl fmt::Debug for CredentialChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialChain").field("sources", &self.sources).finish_non_exhaustive()
    }
}

fn from_variables(variables: &BTreeMap<String, String>) -> Result<Found> {
    let get = |name: &str| variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    match (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => {
            let session_token = get("AWS_SESSION_TOKEN").map(str::to_owned);
            Ok(Ok(Credentials { session_token, ..Credentials::lasting(id, secret) }))
        }
        (None, None) => Ok(Err("AWS_ACCESS_KEY_ID is not set".into())),
        (id, _) => {
            let (set, missing) = match id {
                Some(_) => ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
                None => ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
            };
            Err(Error::invalid("find credentials", format!("{set} is set and {missing} is not"))
                .with_hint("set both or neither"))
        }
    }
}

/// The form in which services and programs hand out credentials.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    code: Option<String>,
    access_key_id: String,
    secret_access_key: String,
    #[serde(alias = "SessionToken")]
    token: Option<String>,
    expiration: Option<String>,
}

impl Document {
    fn credentials(self) -> Result<Credentials> {
        Ok(Credentials {
            access_key_id: self.access_key_id,
            secret_access_key: self.secret_access_key,
            session_token: self.token.filter(|token| !token.is_empty()),
            expires: self.expiration.as_deref().map(moment).transpose()?,
        })
    }
}

/// A moment as services write it, such as `2026-11-21T10:00:00Z`.
pub(super) fn moment(text: &str) -> Result<Timestamp> {
    let millis = text.parse::<jiff::Timestamp>().ok().and_then(|moment| u64::try_from(moment.as_millisecond()).ok());
    millis
        .map(Timestamp::from_millis)
        .ok_or_else(|| Error::new(ErrorKind::Failed, "read answer", format!("{text:?} is no moment in time")))
}

#[cfg(test)]
mod tests;
