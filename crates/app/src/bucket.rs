//! The bucket of a configuration: the one place where the environment and files of Amazon's tools are read.

mod objects;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use larder_base::{Clock, Error, Result};
use larder_remote::s3::{Bucket, BucketConfig, CredentialChain, CredentialSource, Profile, WebIdentity};
use larder_remote::{HttpClient, Policy};

use crate::clock::SystemClock;
use crate::config::BucketSection;

pub use objects::Objects;

/// Where a machine of Amazon's asks for its role.
const METADATA_SERVICE: &str = "http://169.254.169.254";

/// The bucket that is configured, if one is.
///
/// # Errors
/// [`larder_base::ErrorKind::Invalid`] for a configuration that cannot be right.
pub fn bucket(section: &BucketSection, environment: &BTreeMap<String, String>) -> Result<Option<Bucket>> {
    if section.url.is_empty() {
        return Ok(None);
    }
    let surroundings = Surroundings { environment };
    let profile = surroundings.profile()?;
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let region = given(&section.region)
        .or_else(|| surroundings.variable("AWS_REGION"))
        .or_else(|| surroundings.variable("AWS_DEFAULT_REGION"))
        .or_else(|| profile.as_ref().and_then(Profile::region));
    let mut config = BucketConfig::new(section.url.parse()?);
    config.endpoint = given(&section.endpoint);
    config.path_style = section.path_style.chosen();
    config.region = region;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let sources = surroundings.sources(profile, config.region.as_deref());
    // Nobody waits long for a machine's role: most machines have none.
    let patience = Policy {
        tries: 2,
        idle: Duration::from_secs(2),
        connect: Duration::from_secs(1),
        total: Duration::from_secs(5),
        ..Policy::default()
    };
    let credentials = CredentialChain::new(sources, HttpClient::new(patience, nonce()), Arc::clone(&clock));
    Bucket::new(&config, credentials, HttpClient::new(Policy::default(), nonce()), clock).map(Some)
}

/// A number that no other run has: it spreads pauses and names.
pub fn nonce() -> u64 {
    let mut nonce = [0; 8];
    // Zeros would do, and be the same everywhere.
    let _ = getrandom::fill(&mut nonce);
    u64::from_le_bytes(nonce)
}

/// The environment, and the files that it leads to.
struct Surroundings<'a> {
    environment: &'a BTreeMap<String, String>,
}

impl Surroundings<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.environment.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// The user's profile; `None` where there is no file, and none was asked for.
    fn profile(&self) -> Result<Option<Profile>> {
        let asked = self.variable("AWS_PROFILE");
        let folder = self.variable("HOME").map(|home| PathBuf::from(home).join(".aws"));
        let read = |variable: &str, name: &str| -> Result<Option<String>> {
            let path = match (self.variable(variable), &folder) {
                (Some(path), _) => PathBuf::from(path),
                (None, Some(folder)) => folder.join(name),
                (None, None) => return Ok(None),
            };
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok(Some(text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => {
                    let message = format!("{} cannot be read", path.display());
                    Err(Error::invalid("find credentials", message).with_source(error))
                }
            }
        };
        let credentials = read("AWS_SHARED_CREDENTIALS_FILE", "credentials")?;
        let config = read("AWS_CONFIG_FILE", "config")?;
        if asked.is_none() && credentials.is_none() && config.is_none() {
            return Ok(None);
        }
        Ok(Some(Profile {
            required: asked.is_some(),
            name: asked.unwrap_or_else(|| "default".to_owned()),
            credentials: credentials.unwrap_or_default(),
            config: config.unwrap_or_default(),
        }))
    }

    /// The places to look, in the order in which Amazon's tools look.
    fn sources(&self, profile: Option<Profile>, region: Option<&str>) -> Vec<CredentialSource> {
        let mut sources = vec![CredentialSource::Environment(self.environment.clone())];
        sources.extend(profile.map(CredentialSource::Profile));
        if let (Some(file), Some(role_arn)) =
            (self.variable("AWS_WEB_IDENTITY_TOKEN_FILE"), self.variable("AWS_ROLE_ARN"))
        {
            let regional = || format!("https://sts.{}.amazonaws.com", region.unwrap_or("us-east-1"));
            sources.push(CredentialSource::WebIdentity(WebIdentity {
                endpoint: self.variable("AWS_ENDPOINT_URL_STS").unwrap_or_else(regional),
                role_arn,
                session_name: self.variable("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "larder".to_owned()),
                token: Arc::new(move || {
                    std::fs::read_to_string(&file).map_err(|error| {
                        Error::invalid("find credentials", format!("{file} cannot be read")).with_source(error)
                    })
                }),
            }));
        }
        if self.variable("AWS_EC2_METADATA_DISABLED").is_none_or(|disabled| disabled != "true") {
            let service = self.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
            sources.push(CredentialSource::Instance(service.unwrap_or_else(|| METADATA_SERVICE.to_owned())));
        }
        sources
    }
}

#[cfg(test)]
mod tests;
