//! The tier door: one Larder for another. A node asks here for what it lacks, and sends what its jobs have made.
//!
//! Blobs and entries are named by their whole address, whichever door wrote them; chunks move as segments, many in one
//! body, and past this server where it has a bucket. Rights are the caller's: a scope that its token does not read is empty
//! here, and one that it does not write takes nothing. `README.md` describes every call.

mod blobs;
mod entries;
mod failure;
mod request;
mod runs;
mod segments;
mod small;
mod sweep;
mod uploads;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::Router;
use axum::routing::{any, get, post, put};
use larder_base::Result;
use larder_cache::DoorCache;
use larder_door::{Door, Section};
use serde::Deserialize;

use crate::failure::Failure;
use crate::sweep::Sweep;
use crate::uploads::Uploads;

/// The door.
pub const DOOR: Door =
    Door { name: "tier", about: "one Larder for another: what a node asks and sends", open, helpers: &[] };

/// The section `[door.tier]`: there is nothing to set.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {}

/// What every request shares.
#[derive(Clone)]
struct Tier {
    cache: DoorCache,
    /// Segments received so far: part of the name under which each waits to be verified.
    received: Arc<AtomicU64>,
    /// Segments that nodes put elsewhere.
    uploads: Arc<Uploads>,
}

fn open(section: Section, cache: DoorCache) -> Result<Router> {
    let Settings {} = section.parse()?;
    let tier = Tier { uploads: Arc::new(Uploads::new(&cache)), cache, received: Arc::default() };
    tier.cache.jobs().start(Arc::new(Sweep::new(tier.clone())));
    Ok(routes(tier))
}

fn routes(tier: Tier) -> Router {
    let calls = Router::new()
        .route("/blobs", put(blobs::put))
        .route("/blobs/{hash}", get(blobs::get).put(blobs::put))
        .route("/missing", post(blobs::missing))
        .route("/locate", post(segments::locate))
        .route("/records", post(segments::records))
        .route("/segment", put(segments::receive))
        .route("/uploads", post(uploads::begin))
        .route("/uploads/{upload}", post(uploads::adopt).delete(uploads::abort))
        .route("/entries/get", post(entries::get))
        .route("/entries/put", post(entries::put))
        .route("/entries/list", post(entries::list))
        .route("/entries/delete", post(entries::delete))
        .route("/{*rest}", any(async || Failure::not_found("this path is none of the tier door's")))
        .method_not_allowed_fallback(async || Failure::bad_method());
    Router::new().nest("/tier/v1/{namespace}", calls).with_state(tier)
}

#[cfg(test)]
mod tests;
