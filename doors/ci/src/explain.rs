//! Why a lookup found what it found, and what was near.

use axum::extract::State;
use larder_base::{Access, Key, Listed, Result, Scope};
use larder_cache::{Caller, Lookup};
use larder_proto::ci::{ExplainAnswer, ExplainRequest, ExplainStep, Match, Near};

use crate::failure::Failure;
use crate::lookup::miss;
use crate::request::{Asker, Json, key_and_fallbacks};
use crate::{Ci, saved};

/// How many near entries are named.
const NEAR_MAX: usize = 5;

/// What a lookup would do, step by step, and which entries are near. It does not count as a lookup.
#[utoipa::path(post, path = "/ci/v1/{namespace}/explain", params(("namespace" = String, Path)),
    request_body = ExplainRequest, responses((status = 200, body = ExplainAnswer)))]
pub(crate) async fn explain(
    State(ci): State<Ci>,
    Asker(caller): Asker,
    Json(request): Json<ExplainRequest>,
) -> Result<axum::Json<ExplainAnswer>, Failure> {
    let key = key_and_fallbacks(&request.key, &request.fallbacks)?;
    let exact = ci.cache().lookup(&caller, &key, Access::Check).await?;
    let mut steps = vec![step(key.as_str(), Match::Exact, &exact)];
    let mut found = exact;
    for fallback in &request.fallbacks {
        if matches!(found, Lookup::Hit(_)) {
            break;
        }
        found = ci.cache().lookup_newest(&caller, fallback, Access::Check).await?;
        steps.push(step(fallback, Match::Prefix, &found));
    }
    let near = match &found {
        Lookup::Hit(found) if found.address.key == key => Vec::new(),
        _ => near(&ci, &caller, &key, &found).await?,
    };
    let scopes = caller.read_scopes().iter().map(Scope::to_string).collect();
    let writes = caller.write_scope().ok().map(Scope::to_string);
    Ok(axum::Json(ExplainAnswer { steps, scopes, writes, near }))
}

fn step(tried: &str, how: Match, outcome: &Lookup) -> ExplainStep {
    let (found, miss) = match outcome {
        Lookup::Hit(found) => (Some(saved::listed(&found.address, &found.entry)), None),
        Lookup::Miss(reason) => (None, Some(miss(*reason))),
    };
    ExplainStep { tried: tried.to_owned(), how, found, miss }
}

/// The entries whose keys have the longest beginning in common with the key.
async fn near(ci: &Ci, caller: &Caller, key: &Key, found: &Lookup) -> Result<Vec<Near>> {
    let key = key.as_str();
    // Where a beginning may end. What has a longer one in common has a shorter one too, so halving finds the longest.
    let ends: Vec<usize> = key.char_indices().map(|(at, _)| at).skip(1).chain([key.len()]).collect();
    let (mut has, mut has_not) = (0, ends.len());
    while has < has_not {
        let middle = (has + has_not) / 2;
        if visible(ci, caller, &key[..ends[middle]], 1).await?.is_empty() {
            has_not = middle;
        } else {
            has = middle + 1;
        }
    }
    let Some(longest) = has.checked_sub(1) else { return Ok(Vec::new()) };
    let common = &key[..ends[longest]];
    let taken = match found {
        Lookup::Hit(found) => Some(&found.address),
        Lookup::Miss(_) => None,
    };
    let mut near = visible(ci, caller, common, NEAR_MAX + 1).await?;
    near.retain(|listed| Some(&listed.address) != taken);
    near.truncate(NEAR_MAX);
    let describe = |listed: &Listed| Near {
        entry: saved::line(listed),
        common: common.to_owned(),
        why: why_not(caller, key, common, listed),
    };
    Ok(near.iter().map(describe).collect())
}

fn why_not(caller: &Caller, key: &str, common: &str, listed: &Listed) -> String {
    let (other, scope) = (listed.address.key.as_str(), &listed.address.scope);
    if !caller.read_scopes().contains(scope) {
        return format!("scope {scope} is not looked through");
    }
    let rest = |key: &str| key.get(common.len()..).unwrap_or_default().chars().take(40).collect::<String>();
    match (rest(key).as_str(), rest(other).as_str()) {
        ("", "") => "it was saved after the lookup, or is incomplete".to_owned(),
        ("", more) => format!("its key goes on with {more:?}"),
        (more, "") => format!("its key lacks {more:?} at the end"),
        (asked, there) => format!("its key has {there:?} where {asked:?} was asked for"),
    }
}

/// Entries with this prefix in the scopes that the caller may see.
async fn visible(ci: &Ci, caller: &Caller, prefix: &str, limit: usize) -> Result<Vec<Listed>> {
    if caller.is_admin() {
        return Ok(ci.cache().list(caller, None, prefix, None, limit).await?.entries);
    }
    let mut all = Vec::new();
    // Scope by scope: a page of all scopes could be full of entries that are not for this caller.
    for scope in caller.read_scopes() {
        all.extend(ci.cache().list(caller, Some(scope), prefix, None, limit).await?.entries);
    }
    all.sort_by_key(|listed| std::cmp::Reverse((listed.entry.created, listed.entry.revision)));
    all.truncate(limit);
    Ok(all)
}
