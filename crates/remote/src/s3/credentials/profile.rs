//! Profiles: the files `~/.aws/credentials` and `~/.aws/config`, as text.

use larder_base::{Error, Result};

use super::{Credentials, Found};

/// A profile of the files that Amazon's tools use.
#[derive(Clone)]
pub struct Profile {
    /// Its name; `default` where nothing else was asked for.
    pub name: String,
    /// Whether it was asked for by name, and so must be there.
    pub required: bool,
    /// The text of the credentials file; empty where there is none.
    pub credentials: String,
    /// The text of the configuration file; empty where there is none.
    pub config: String,
}

impl Profile {
    /// The region that the profile names.
    pub fn region(&self) -> Option<String> {
        self.setting("region")
    }

    pub(super) fn credentials(&self) -> Result<Found> {
        let wrong = |problem: &str| {
            Error::invalid("find credentials", format!("the profile {:?} {problem}", self.name))
                .with_hint("see `aws configure`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        };
        match (self.setting("aws_access_key_id"), self.setting("aws_secret_access_key")) {
            (Some(id), Some(secret)) => {
                let session_token = self.setting("aws_session_token");
                Ok(Ok(Credentials { session_token, ..Credentials::lasting(id, secret) }))
            }
            (None, None) if !self.required => Ok(Err(format!("the profile {:?} has none", self.name))),
            // Programs, single sign-on and chained roles are the tools' own; what they print can be put into variables.
            (None, None) => Err(wrong("holds no keys (Larder reads only keys from profiles)")),
            _ => Err(wrong("holds half of a pair of keys")),
        }
    }

    fn setting(&self, name: &str) -> Option<String> {
        let in_config = if self.name == "default" { "default".to_owned() } else { format!("profile {}", self.name) };
        find(&self.credentials, &self.name, name).or_else(|| find(&self.config, &in_config, name))
    }
}

/// A setting of a section. A later one of the same name wins, as it does for Amazon's tools.
fn find(text: &str, section: &str, name: &str) -> Option<String> {
    let mut inside = false;
    let mut found = None;
    for line in text.lines().filter(|line| !line.starts_with([' ', '\t', '#', ';'])) {
        if let Some(title) = line.trim().strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            inside = title.split_whitespace().eq(section.split_whitespace());
        } else if inside
            && let Some((key, value)) = line.split_once('=')
            && key.trim().eq_ignore_ascii_case(name)
        {
            // A comment may follow after a blank.
            let value = value.split(" #").next().unwrap_or_default().split(" ;").next().unwrap_or_default().trim();
            found = Some(value.to_owned()).filter(|value| !value.is_empty());
        }
    }
    found
}
