//! The ci door: `larder save` and `larder restore`, over HTTP and with direct transfer.
//!
//! A key names a saved tree: a manifest and the chunks of its files. A client asks which chunks are missing, registers an
//! upload, sends the missing chunks as segments to signed URLs, and hands the upload to the commit queue, which verifies
//! everything before the entry can be seen. `README.md` is the user's page, `openapi.json` the interface.

mod arrival;
mod commit;
mod entries;
mod explain;
mod failure;
mod lookup;
mod openapi;
mod permission;
mod queue;
mod request;
mod saved;
mod settings;
mod sweep;
mod transfer;
mod upload;
mod usage;

pub use openapi::openapi_json;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post, put};
use larder_base::{Result, UploadId};
use larder_cache::{DoorCache, Jobs};
use larder_door::{Door, Section};

use crate::arrival::{Adoptions, Arrivals};
use crate::commit::Commits;
use crate::failure::Failure;
use crate::queue::Queue;
use crate::settings::Settings;
use crate::sweep::Sweep;
use crate::upload::{OpenUploads, Uploads};

/// The door.
pub const DOOR: Door =
    Door { name: "ci", about: "save and restore of directories, with direct transfer", open, helpers: &[] };

/// What every request shares.
#[derive(Clone)]
struct Ci {
    shared: Arc<Shared>,
}

struct Shared {
    cache: DoorCache,
    settings: Settings,
    uploads: Uploads,
    open: OpenUploads,
    queue: Queue,
    arrivals: Arrivals,
}

impl Ci {
    fn new(cache: DoorCache, settings: Settings) -> Self {
        cache.keep_readers();
        let uploads = Uploads::new(&cache);
        let queue = Queue::new(settings.commit_queue);
        let (open, arrivals) = (OpenUploads::default(), Arrivals::default());
        Self { shared: Arc::new(Shared { cache, settings, uploads, open, queue, arrivals }) }
    }

    fn cache(&self) -> &DoorCache {
        &self.shared.cache
    }

    fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    fn uploads(&self) -> &Uploads {
        &self.shared.uploads
    }

    fn open_uploads(&self) -> &OpenUploads {
        &self.shared.open
    }

    fn queue(&self) -> &Queue {
        &self.shared.queue
    }

    fn arrivals(&self) -> &Arrivals {
        &self.shared.arrivals
    }

    /// Forgets what was sent for an upload that has ended.
    async fn discard(&self, upload: &UploadId) -> Result<()> {
        self.arrivals().forget(upload);
        self.open_uploads().forget(upload);
        self.cache().discard_parts(upload).await
    }
}

fn open(section: Section, cache: DoorCache) -> Result<Router> {
    let ci = Ci::new(cache, section.parse::<Settings>()?.check()?);
    start(&ci, ci.cache().jobs());
    Ok(routes(ci))
}

/// Starts the background work of the door.
fn start(ci: &Ci, jobs: &Jobs) {
    ci.arrivals().wake_with(jobs.start(Arc::new(Adoptions::new(ci.clone()))));
    ci.queue().wake_with(jobs.start(Arc::new(Commits::new(ci.clone()))));
    // Its first step puts the uploads that an earlier process was to commit into the queue.
    jobs.start(Arc::new(Sweep::new(ci.clone())));
}

fn routes(ci: Ci) -> Router {
    let calls = Router::new()
        .route("/lookup", post(lookup::lookup))
        .route("/missing", post(lookup::missing))
        .route("/locate", post(lookup::locate))
        .route("/runs/{segment}/{offset}/{length}", get(transfer::send_run))
        .route("/uploads", post(upload::begin))
        .route("/uploads/{upload}", get(upload::status).delete(upload::abort))
        .route("/uploads/{upload}/parts", post(upload::parts::one_part))
        .route("/uploads/{upload}/parts/batch", post(upload::parts::several_parts))
        .route("/uploads/{upload}/parts/{number}/{length}", put(transfer::receive_part))
        .route("/uploads/{upload}/finish", post(upload::finish))
        .route("/entries", get(entries::list).delete(entries::purge_all))
        .route("/entry", get(entries::show).delete(entries::purge))
        .route("/usage", get(usage::usage))
        .route("/explain", post(explain::explain))
        .route("/{*rest}", delete(nothing_here).get(nothing_here).post(nothing_here).put(nothing_here))
        .method_not_allowed_fallback(async || Failure::bad_method());
    Router::new().nest("/ci/v1/{namespace}", calls).with_state(ci)
}

async fn nothing_here() -> Failure {
    Failure::not_found("this path is none of the ci door's").with_hint("doors/ci/openapi.json lists them")
}

#[cfg(test)]
mod tests;
