//! Proves that a bucket can be used: every right and every feature that Larder needs, by using it once.

mod leftovers;
mod steps;

use std::fmt;

use larder_base::{Error, ErrorKind, Result};
use serde::Serialize;

use super::Bucket;

pub use leftovers::{SweptChecks, sweep_checks, trial_key};

/// What the names of all objects of checks and trials begin with.
const CHECKS: &str = "check/";

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BucketReport {
    /// The bucket's name.
    pub bucket: String,
    /// Every step, in the order in which they were taken.
    pub steps: Vec<CheckStep>,
}

/// One right or feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckStep {
    /// What was tried: one or a few words.
    pub name: &'static str,
    /// What came of it.
    pub outcome: CheckOutcome,
    /// What was seen, where that is not all well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckOutcome {
    /// It works.
    Ok,
    /// The right is missing, or the store does not know the request.
    Missing,
    /// It does not work, for another reason.
    Failed,
    /// It was not tried, as a step before it did not work.
    Skipped,
}

impl BucketReport {
    /// Whether everything works.
    pub fn is_good(&self) -> bool {
        self.steps.iter().all(|step| step.outcome == CheckOutcome::Ok)
    }
}

impl fmt::Display for CheckOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        })
    }
}

/// Tries everything that Larder needs of a bucket, with objects below `check/NONCE/`, and removes them. `nonce` is some
/// number that no other check has: it keeps those that run at once apart. Some 16 MiB are sent.
///
/// What could not be removed, for want of the right to, is named in the step of that right; what a check leaves that is cut
/// off, [`sweep_checks`] removes.
pub async fn check_bucket(bucket: &Bucket, nonce: u64) -> BucketReport {
    let mut checking = Checking { bucket, folder: format!("{CHECKS}{nonce:016x}"), steps: Vec::new() };
    if checking.begin().await {
        checking.objects().await;
        checking.multipart().await;
        checking.presigned().await;
        checking.removal().await;
    }
    BucketReport { bucket: bucket.name().to_owned(), steps: checking.steps }
}

/// A check that is under way.
struct Checking<'a> {
    bucket: &'a Bucket,
    folder: String,
    steps: Vec<CheckStep>,
}

impl Checking<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// Takes a step down; gives what it yielded if it worked. `right` is the permission that it needs, if it is one that the
    /// bucket knows.
    fn note<'r, T>(&mut self, name: &'static str, right: impl Into<Option<&'r str>>, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                self.steps.push(CheckStep { name, outcome: CheckOutcome::Ok, problem: None, remedy: None });
                Some(value)
            }
            Err(error) => {
                // A right that is missing is told by the right, everything else by what the error knows.
                let denied = error.kind() == ErrorKind::Denied && error.message().contains("AccessDenied")
                    || error.kind() == ErrorKind::Denied && error.message().ends_with("403");
                let unknown = error.message().contains(" 501") || error.message().contains("NotImplemented");
                // The one right that a directory bucket knows is that to a session.
                let right = right.into().map(|right| if self.bucket.is_directory() { steps::SESSION } else { right });
                let missing = right.filter(|_| denied);
                let remedy = match (missing, unknown) {
                    (Some(right), _) => {
                        Some(format!("allow {right} to these credentials (docs/bucket.md has the whole policy)"))
                    }
                    (_, true) => {
                        Some("this object store lacks the feature; use another, or a newer version".to_owned())
                    }
                    _ => error.hint().map(str::to_owned),
                };
                let outcome = if missing.is_some() || unknown { CheckOutcome::Missing } else { CheckOutcome::Failed };
                self.steps.push(CheckStep { name, outcome, problem: Some(told(&error)), remedy });
                None
            }
        }
    }

    fn skip(&mut self, names: &[&'static str], because: &str) {
        let step = |name: &&'static str| CheckStep {
            name,
            outcome: CheckOutcome::Skipped,
            problem: Some(format!("not tried, as {because} does not work")),
            remedy: None,
        };
        self.steps.extend(names.iter().map(step));
    }
}

/// An error as one line with its causes.
fn told(error: &Error) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        let text = source.to_string();
        if !line.contains(&text) {
            line += &format!(": {text}");
        }
        cause = source.source();
    }
    line
}

#[cfg(test)]
mod tests;
