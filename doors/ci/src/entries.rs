//! Entries, for people and programs that look after them: list, show, purge.

use axum::extract::State;
use larder_base::{Access, Entry, EntryAddress, Key, Listed, Reader, Scope, Timestamp};
use larder_cache::{Caller, Lookup};
use larder_proto::ci::{ListAnswer, PAGE_MAX, PurgeAnswer, ShownEntry};
use serde::Deserialize;

use crate::failure::Failure;
use crate::request::{self, Asked, Asker};
use crate::{Ci, saved};

/// Entries of a page unless asked otherwise.
const PAGE_DEFAULT: u32 = 100;

/// Which entries a listing is of, and which page of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListQuery {
    prefix: String,
    scope: Option<String>,
    writer: Option<String>,
    reader: Option<String>,
    older_than_ms: Option<u64>,
    after: Option<String>,
    limit: Option<u32>,
}

/// Entries whose keys begin with `prefix`, newest first, of the scopes that the caller may see. With `writer` only those
/// that this one wrote, with `reader` only those that this one restored, as far as the caller may know, with `older_than_ms`
/// only those that were last restored (or written, if they never were) so long ago.
#[utoipa::path(get, path = "/ci/v1/{namespace}/entries",
    params(("namespace" = String, Path), ("prefix" = Option<String>, Query), ("scope" = Option<String>, Query),
        ("writer" = Option<String>, Query), ("reader" = Option<String>, Query),
        ("older_than_ms" = Option<u64>, Query), ("after" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = ListAnswer)))]
pub(crate) async fn list(
    State(ci): State<Ci>,
    Asker(caller): Asker,
    Asked(query): Asked<ListQuery>,
) -> Result<axum::Json<ListAnswer>, Failure> {
    let scope = request::scope(query.scope.as_deref())?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Failure::invalid(format!("limit must be 1 to {PAGE_MAX}")));
    }
    let picked = Picked::new(&ci, query.writer, query.older_than_ms);
    let reader = query.reader.filter(|reader| !reader.is_empty());
    let (limit, mut after, mut seen) = (limit as usize, query.after, 0);
    let mut entries = Vec::new();
    // Where few are picked, one request looks at more than it gives, but not at everything.
    loop {
        let room = limit - entries.len();
        let page = ci.cache().list(&caller, scope.as_ref(), &query.prefix, after.as_deref(), room).await?;
        let mut found: Vec<_> = page.entries.iter().filter(|listed| picked.has(&listed.entry)).collect();
        if let Some(reader) = &reader {
            found = restored_by(&ci, &caller, reader, found).await?;
        }
        entries.extend(found.into_iter().map(saved::line));
        after = page.next;
        seen += room;
        if after.is_none() || entries.len() == limit || seen >= PAGE_MAX as usize {
            return Ok(axum::Json(ListAnswer { entries, next: after }));
        }
    }
}

/// Those entries of which the caller may know that somebody restored them.
async fn restored_by<'a>(
    ci: &Ci,
    caller: &Caller,
    reader: &str,
    found: Vec<&'a Listed>,
) -> Result<Vec<&'a Listed>, Failure> {
    let seen: Vec<_> = found.iter().map(|listed| (&listed.address, &listed.entry)).collect();
    let readers = ci.cache().readers(caller, &seen).await?;
    let has = |readers: &Vec<Reader>| readers.iter().any(|one| &*one.name == reader);
    Ok(found.into_iter().zip(&readers).filter(|(_, readers)| has(readers)).map(|(listed, _)| listed).collect())
}

/// What is picked of the entries with a prefix.
struct Picked {
    writer: Option<String>,
    /// Last restored at this moment or before.
    until: Option<Timestamp>,
}

impl Picked {
    fn new(ci: &Ci, writer: Option<String>, older_than_ms: Option<u64>) -> Self {
        let now = ci.cache().clock().now().as_millis();
        let until = older_than_ms.map(|age| Timestamp::from_millis(now.saturating_sub(age)));
        Self { writer: writer.filter(|writer| !writer.is_empty()), until }
    }

    fn has(&self, entry: &Entry) -> bool {
        self.writer.as_ref().is_none_or(|writer| *writer == entry.writer)
            && self.until.is_none_or(|until| entry.last_served <= until)
    }
}

/// Names one entry.
#[derive(Debug, Deserialize)]
pub(crate) struct EntryQuery {
    key: String,
    scope: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

/// One entry, its manifest, and who restored it, as far as the caller may know. Looking at it does not count as use.
#[utoipa::path(get, path = "/ci/v1/{namespace}/entry",
    params(("namespace" = String, Path), ("key" = String, Query), ("scope" = Option<String>, Query)),
    responses((status = 200, body = ShownEntry), (status = 404, body = larder_proto::ci::ErrorAnswer)))]
pub(crate) async fn show(
    State(ci): State<Ci>,
    Asker(caller): Asker,
    Asked(query): Asked<EntryQuery>,
) -> Result<axum::Json<ShownEntry>, Failure> {
    let key: Key = query.key.parse()?;
    let looker = match request::scope(query.scope.as_deref())? {
        Some(scope) => in_scope(&caller, &scope).ok_or_else(|| no_such_entry(&key))?,
        None => caller.clone(),
    };
    let Lookup::Hit(found) = ci.cache().lookup(&looker, &key, Access::Check).await? else {
        return Err(no_such_entry(&key));
    };
    // With the caller's own rights: whoever looks into one scope is still who it is.
    let shown = saved::show_all(ci.cache(), &caller, &found).await?;
    shown.map(axum::Json).ok_or_else(|| no_such_entry(&key))
}

/// Removes the entry under a key: from one scope; from the caller's own; or, for an administrator who names none, from
/// every one that has it. With `dry_run` it only says what it would do.
#[utoipa::path(delete, path = "/ci/v1/{namespace}/entry",
    params(("namespace" = String, Path), ("key" = String, Query), ("scope" = Option<String>, Query),
        ("dry_run" = Option<bool>, Query)),
    responses((status = 200, body = PurgeAnswer)))]
pub(crate) async fn purge(
    State(ci): State<Ci>,
    Asker(caller): Asker,
    Asked(query): Asked<EntryQuery>,
) -> Result<axum::Json<PurgeAnswer>, Failure> {
    let key: Key = query.key.parse()?;
    let scope = purged_scope(&caller, query.scope.as_deref())?;
    let mut found = under(&ci, &caller, scope.as_ref(), &key).await?;
    if !query.dry_run {
        let mut gone = Vec::with_capacity(found.len());
        for listed in found {
            if ci.cache().purge(&caller, &listed.address).await? {
                gone.push(listed);
            }
        }
        found = gone;
    }
    // Whether a scope has it is not told to whom may not see that; that nothing may be removed there is.
    if let Some(scope) = scope.filter(|_| found.is_empty() && !query.dry_run) {
        let namespace = caller.namespace().clone();
        let address = EntryAddress { namespace, scope, door: ci.cache().name().clone(), key };
        ci.cache().purge(&caller, &address).await?;
    }
    let entries = found.iter().map(saved::line).collect();
    Ok(axum::Json(PurgeAnswer { entries, dry_run: query.dry_run, next: None }))
}

/// The entries under a key, complete or not, in one scope or in all that the caller may see.
async fn under(ci: &Ci, caller: &Caller, scope: Option<&Scope>, key: &Key) -> Result<Vec<Listed>, Failure> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = ci.cache().list(caller, scope, key.as_str(), after.as_deref(), PAGE_MAX as usize).await?;
        found.extend(page.entries.into_iter().filter(|listed| listed.address.key == *key));
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

/// The one scope that a purge is of; every one for an administrator who names none.
fn purged_scope(caller: &Caller, named: Option<&str>) -> Result<Option<Scope>, Failure> {
    Ok(match request::scope(named)? {
        None if !caller.is_admin() => Some(caller.write_scope()?.clone()),
        scope => scope,
    })
}

/// Which entries are to be removed.
#[derive(Debug, Deserialize)]
pub(crate) struct PurgeQuery {
    prefix: String,
    scope: Option<String>,
    writer: Option<String>,
    older_than_ms: Option<u64>,
    after: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

/// Removes entries whose keys begin with `prefix`, a page of them: from one scope; from the caller's own; or, for an
/// administrator who names none, from all. `writer` and `older_than_ms` pick of them as in a listing. With `dry_run` it
/// only says what it would do.
#[utoipa::path(delete, path = "/ci/v1/{namespace}/entries",
    params(("namespace" = String, Path), ("prefix" = String, Query), ("scope" = Option<String>, Query),
        ("writer" = Option<String>, Query), ("older_than_ms" = Option<u64>, Query), ("after" = Option<String>, Query),
        ("dry_run" = Option<bool>, Query)),
    responses((status = 200, body = PurgeAnswer)))]
pub(crate) async fn purge_all(
    State(ci): State<Ci>,
    Asker(caller): Asker,
    Asked(query): Asked<PurgeQuery>,
) -> Result<axum::Json<PurgeAnswer>, Failure> {
    let scope = purged_scope(&caller, query.scope.as_deref())?;
    let after = query.after.as_deref();
    let page = ci.cache().list(&caller, scope.as_ref(), &query.prefix, after, PAGE_MAX as usize).await?;
    let mut entries = Vec::with_capacity(page.entries.len());
    let picked = Picked::new(&ci, query.writer, query.older_than_ms);
    for listed in page.entries.iter().filter(|listed| picked.has(&listed.entry)) {
        if query.dry_run || ci.cache().purge(&caller, &listed.address).await? {
            entries.push(saved::line(listed));
        }
    }
    Ok(axum::Json(PurgeAnswer { entries, dry_run: query.dry_run, next: page.next }))
}

/// The caller as a reader of one scope, if it may see that.
fn in_scope(caller: &Caller, scope: &Scope) -> Option<Caller> {
    caller
        .may_see(scope)
        .then(|| Caller::resumed(caller.principal().clone(), caller.namespace().clone(), scope.clone()))
}

fn no_such_entry(key: &Key) -> Failure {
    Failure::not_found(format!("nothing is saved under {key}"))
        .with_hint("`larder list` shows what is, `larder explain` what is near")
}
