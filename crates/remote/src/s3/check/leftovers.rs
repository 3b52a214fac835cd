//! What checks and trials leave behind when they are cut off.

use std::collections::BTreeSet;
use std::time::Duration;

use larder_base::{Result, Timestamp};

use super::CHECKS;
use super::steps::{ABORTED, NAMES, PARTS};
use crate::s3::{Bucket, OpenUpload};

/// What the name of a trial's object begins with, below that of all checks.
const TRIAL: &str = "first-";
/// The digits of a nonce.
const NONCE_LEN: usize = 16;

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweptChecks {
    /// Objects that were deleted.
    pub objects: u64,
    /// Unfinished uploads that were given up.
    pub uploads: u64,
}

impl SweptChecks {
    /// Adds what another sweep removed.
    pub fn add(&mut self, other: &Self) {
        self.objects += other.objects;
        self.uploads += other.uploads;
    }
}

/// A name for [`Bucket::keeps_the_first`] to try, which no other trial has if the number is nobody else's.
pub fn trial_key(nonce: u64) -> String {
    format!("{CHECKS}{TRIAL}{nonce:016x}")
}

/// Removes what checks and trials have left that began at least `age` ago and did not come to their end: objects, and
/// uploads in parts. Only what has a name that Larder gives is touched, as a bucket may be shared. `is_in_use` is asked of
/// objects after they were listed, and spares those of a trial that is under way.
///
/// An upload is also looked for by its whole name, made of what else the same check has left: MinIO finds it by nothing else.
///
/// # Errors
/// What the store refuses; the same call may be made again. A store that lists no uploads, for want of the right or of the
/// feature, is no reason to leave the objects.
pub async fn sweep_checks(
    bucket: &Bucket,
    age: Duration,
    is_in_use: impl Fn(&str) -> bool + Send + Sync,
) -> Result<SweptChecks> {
    let is_old = |moment: Timestamp| bucket.now().since(moment) >= age;
    let mut objects = Vec::new();
    let mut after = None;
    loop {
        let page = bucket.list(CHECKS, after.as_deref()).await?;
        let old = page.objects.into_iter().filter(|object| is_of_check(&object.key) && is_old(object.modified));
        objects.extend(old.map(|object| object.key).filter(|key| !is_in_use(key)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut swept = SweptChecks::default();
    match old_uploads(bucket, &objects, is_old).await {
        Ok(uploads) => {
            for (key, id) in uploads {
                bucket.abort_multipart(&key, &id).await?;
                swept.uploads += 1;
            }
        }
        Err(error) if error.kind().may_pass() => return Err(error),
        Err(error) => tracing::debug!(%error, "unfinished uploads of checks cannot be looked for"),
    }
    bucket.delete_objects(&objects).await?;
    swept.objects = objects.len() as u64;
    Ok(swept)
}

/// Names and ids of the uploads of checks that are old enough, and of those that left `objects`: when these are gone, nothing
/// leads to an upload of the same check that was begun a little later.
async fn old_uploads(
    bucket: &Bucket,
    objects: &[String],
    is_old: impl Fn(Timestamp) -> bool,
) -> Result<BTreeSet<(String, String)>> {
    let nonces: BTreeSet<&str> = objects.iter().filter_map(|key| nonce_of(key)).collect();
    let is_left = |upload: &OpenUpload| {
        is_of_check(&upload.key)
            && (is_old(upload.begun) || nonce_of(&upload.key).is_some_and(|nonce| nonces.contains(nonce)))
    };
    let whole = nonces.iter().flat_map(|nonce| [PARTS, ABORTED].map(|name| format!("{CHECKS}{nonce}/{name}")));
    let starts: Vec<String> = std::iter::once(CHECKS.to_owned()).chain(whole).collect();
    let mut found = BTreeSet::new();
    for start in starts {
        let mut after = None;
        loop {
            let page = bucket.list_uploads(&start, after.as_ref()).await?;
            found.extend(page.uploads.into_iter().filter(is_left).map(|upload| (upload.key, upload.id)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(found)
}

/// Whether a name is one that a check or a trial gives.
fn is_of_check(key: &str) -> bool {
    let Some(rest) = key.strip_prefix(CHECKS) else { return false };
    match rest.split_once('/') {
        Some((nonce, name)) => is_nonce(nonce) && NAMES.contains(&name),
        None => rest.strip_prefix(TRIAL).is_some_and(is_nonce),
    }
}

/// The nonce of the check that an object belongs to.
fn nonce_of(key: &str) -> Option<&str> {
    Some(key.strip_prefix(CHECKS)?.split_once('/')?.0)
}

fn is_nonce(text: &str) -> bool {
    text.len() == NONCE_LEN && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
