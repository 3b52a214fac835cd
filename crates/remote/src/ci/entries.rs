//! Entries: list, show, purge, explain.

use std::time::Duration;

use larder_base::{Key, Result, Scope};
use larder_proto::ci::{EntryReader, ExplainAnswer, ExplainRequest, ListAnswer, PurgeAnswer, ShownEntry, UsageAnswer};

use super::{CiClient, Found, answer};
use crate::url::escape;

/// Which entries a listing or a purge is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// How their keys begin; empty for all.
    pub prefix: String,
    /// One scope, or every scope that the caller may see.
    pub scope: Option<Scope>,
    /// Only those of one writer.
    pub writer: Option<String>,
    /// Only those that one reader restored; a purge takes no notice of it.
    pub reader: Option<String>,
    /// Only those last restored, or written if they never were, so long ago.
    pub older_than: Option<Duration>,
}

/// An entry, and who restored it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The entry.
    pub found: Found,
    /// Who restored it, the last one first: as far as the caller may know.
    pub readers: Vec<EntryReader>,
}

impl EntryFilter {
    fn query(&self) -> String {
        let scope = in_scope(self.scope.as_ref());
        let writer = self.writer.as_ref().map_or(String::new(), |writer| format!("&writer={}", escape(writer)));
        let age = self.older_than.map_or(String::new(), |age| format!("&older_than_ms={}", age.as_millis()));
        let reader = self.reader.as_ref().map_or(String::new(), |reader| format!("&reader={}", escape(reader)));
        format!("prefix={}{scope}{writer}{reader}{age}", escape(&self.prefix))
    }
}

impl CiClient {
    /// A page of entries, newest first, from `after` (a page's `next`).
    ///
    /// # Errors
    /// As [`CiClient::lookup`].
    pub async fn list(&self, filter: &EntryFilter, after: Option<&str>, limit: u32) -> Result<ListAnswer> {
        let after = after.map_or(String::new(), |after| format!("&after={}", escape(after)));
        let path = format!("entries?{}&limit={limit}{after}", filter.query());
        self.json(self.get(&path, Duration::ZERO).await?)
    }

    /// What the namespace holds, and may hold.
    ///
    /// # Errors
    /// As [`CiClient::lookup`].
    pub async fn usage(&self) -> Result<UsageAnswer> {
        self.json(self.get("usage", Duration::ZERO).await?)
    }

    /// One entry, if a scope or else those that the caller reads have it, and who restored it. It does not count as use.
    ///
    /// # Errors
    /// As [`CiClient::lookup`].
    pub async fn show(&self, key: &Key, scope: Option<&Scope>) -> Result<Option<Shown>> {
        let path = format!("entry?key={}{}", escape(key.as_str()), in_scope(scope));
        let shown: Option<ShownEntry> = self.json_or_absent(self.get(&path, Duration::ZERO).await?)?;
        let read = |ShownEntry { saved, readers }| Ok(Shown { found: answer::found(saved)?, readers });
        shown.map(read).transpose()
    }

    /// Removes the entry under a key, from one scope or from the caller's own.
    ///
    /// # Errors
    /// As [`CiClient::lookup`].
    pub async fn purge(&self, key: &Key, scope: Option<&Scope>, dry_run: bool) -> Result<PurgeAnswer> {
        let path = format!("entry?key={}&dry_run={dry_run}{}", escape(key.as_str()), in_scope(scope));
        self.json(self.delete(&path).await?)
    }

    /// Removes a page of the entries whose keys begin with a prefix, from `after` (an answer's `next`): go on while there
    /// is a `next`.
    ///
    /// # Errors
    /// As [`CiClient::lookup`].
    pub async fn purge_all(&self, filter: &EntryFilter, after: Option<&str>, dry_run: bool) -> Result<PurgeAnswer> {
        let after = after.map_or(String::new(), |after| format!("&after={}", escape(after)));
        let path = format!("entries?{}&dry_run={dry_run}{after}", filter.query());
        self.json(self.delete(&path).await?)
    }

    /// What a lookup of this key would do, and why, and what is near.
    ///
    /// # Errors
    /// As [`CiClient::lookup`].
    pub async fn explain(&self, key: &Key, fallbacks: &[String]) -> Result<ExplainAnswer> {
        let request = ExplainRequest { key: key.to_string(), fallbacks: fallbacks.to_vec() };
        let answer = self.post_json("explain", &request, Duration::ZERO).await?;
        self.json(answer)
    }
}

fn in_scope(scope: Option<&Scope>) -> String {
    scope.map_or(String::new(), |scope| format!("&scope={}", escape(&scope.to_string())))
}
