//! Puts the server together: the store, the cache over it, the doors on top, the jobs behind.

mod disk;
mod limits;
mod node;
mod sweep;
mod upkeep;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use larder_base::{BoxFuture, Clock, Error, ErrorKind, Result};
use larder_cache::{Cache, Jobs, Node, Rights, Signer, Tiers};
use larder_door::Section;
use larder_store::{BucketOptions, BucketStatus, Durability, Options, Store, StoreService};
use serde_json::{Value, json};
use tracing::info;

use crate::bucket::{Objects, bucket};
use crate::clock::SystemClock;
use crate::config::{self, BucketSection, ByteSize, Config, CredentialSection};
use crate::doors::DOORS;
use crate::secret::secret_of;
use crate::server::{About, Kept, only_local, pages};
use crate::tokens::TokenFile;
use sweep::BucketSweep;

/// Threads that wait for the disk at most; the cores are shared with whatever builds here.
const BLOCKING_THREADS: usize = 16;

/// A server that is put together and does not listen yet.
pub struct Server {
    /// All routes.
    pub routes: Router,
    /// The jobs, to be stopped before the store is closed.
    pub jobs: Jobs,
    /// The store.
    pub store: StoreService,
    /// Its bucket, to be ended before the runtime is.
    pub bucket: Option<Arc<Objects>>,
}

/// Opens the store and everything on top of it. Jobs start at once, so a tokio runtime must be there.
///
/// # Errors
/// When the data directory cannot be used, or a section of the configuration cannot be read.
pub async fn compose(config: &Config, data: &Path, environment: &BTreeMap<String, String>) -> Result<Server> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    disk::prepare(data)?;
    let quota = config.quota.map_or_else(|| disk::automatic_quota(data), |quota| Ok(quota.bytes()))?;
    let opening = Instant::now();
    let mut options = store_options(config, data, quota);
    let objects = objects(&config.bucket, environment)?;
    options.bucket = objects.clone().map(|objects| bucket_options(&config.bucket, objects)).transpose()?;
    // With a bucket it may have to ask that first.
    let store = tokio::task::block_in_place(|| Store::open(options, clock.clone()))?;
    let opened_in = opening.elapsed();
    let recovery = store.recovery();
    info!(
        data = %data.display(),
        quota = %ByteSize(quota),
        used = %ByteSize(store.used_bytes()),
        open_ms = opened_in.as_secs_f64() * 1000.0,
        clean = recovery.clean,
        replayed = recovery.replayed_records,
        torn_bytes = recovery.torn_bytes,
        "store is open"
    );
    let store = StoreService::new(store, BLOCKING_THREADS);
    let tier = Arc::new(store.clone());
    let jobs = Jobs::remembered(clock.clone(), tier.clone()).await;
    let tiers = Tiers { blobs: tier.clone(), entries: tier.clone(), segments: tier };
    // Once rights were limited, they do not become everyone's because no token is left.
    let is_everyones = config.credentials.is_empty() && !TokenFile::exists(data);
    let rights = if is_everyones {
        config.upstream.job_grant()?.map_or(Rights::Open, Rights::Limited)
    } else {
        CredentialSection::rights(&config.credentials, &config.origins)?
    };
    let (node, above) = node::node(config, &tiers, quota, &clock).await?.unzip();
    let tiers = node.as_ref().map_or(tiers, Node::tiers);
    let cache = Cache::new(tiers, rights, Signer::new(&secret_of(data)?), jobs.clone(), clock.clone());
    if node.is_none() {
        cache.remember_readers(Arc::new(store.clone()));
    }
    let tokens = TokenFile::open(data, cache.rights().configured(), cache.issued().clone())?;
    let mut routes = open_doors(config, &cache)?;
    let sweeping = objects.clone().map(|objects| BucketSweep { objects, orphan_age: config.bucket.orphan_age.0 });
    upkeep::start(&jobs, &store, sweeping.as_ref());
    limits::start(config, &cache, &store, &clock)?;
    if let Some(node) = &node {
        node.start(&jobs);
    }
    routes = routes.merge(pages(About {
        cache,
        store: Arc::new(KeptStore { store: store.clone(), opened_in, sweeping }),
        tokens: Arc::new(tokens),
        node,
        above,
        started: clock.now(),
        clock,
        doors: DOORS.iter().map(|door| door.name).collect(),
    }));
    if is_everyones {
        routes = only_local(routes);
    }
    Ok(Server { routes, jobs, store, bucket: objects })
}

/// The data directory: the one that was asked for, else the user's own, else the system's for the superuser.
///
/// # Errors
/// When none was asked for and the user has no home.
pub fn data_directory(asked: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<PathBuf> {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(asked) = asked {
        return Ok(asked.to_owned());
    }
    if let Some(data) = variable("XDG_DATA_HOME").filter(|folder| folder.is_absolute()) {
        return Ok(data.join("larder"));
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/larder"));
    }
    variable("HOME").map(|home| home.join(".local/share/larder")).ok_or_else(|| {
        Error::invalid("find data directory", "neither XDG_DATA_HOME nor HOME is set")
            .with_hint("name a folder with --data or LARDER_DATA")
    })
}

/// The options of the store in a data directory.
fn store_options(config: &Config, data: &Path, quota: u64) -> Options {
    let mut options = Options::new(data, quota);
    options.retention = config.store.retention.0;
    options.segment_len = config.store.segment_size.0;
    options.level = config.store.compression_level;
    options.durability = match config.store.durability {
        config::Durability::Full => Durability::Synced,
        config::Durability::Relaxed => Durability::Relaxed,
    };
    options
}

/// The objects of the bucket, if one is configured.
fn objects(section: &BucketSection, environment: &BTreeMap<String, String>) -> Result<Option<Arc<Objects>>> {
    let bucket = bucket(section, environment)?;
    Ok(bucket.map(|bucket| Arc::new(Objects::new(bucket, section.direct.0))))
}

/// The bucket that sealed segments go to.
fn bucket_options(section: &BucketSection, objects: Arc<Objects>) -> Result<BucketOptions> {
    let mut fresh_id = [0; 16];
    getrandom::fill(&mut fresh_id)
        .map_err(|error| Error::new(ErrorKind::Failed, "open bucket", format!("no random bytes: {error}")))?;
    let quota = section.quota.map_or(u64::MAX, |quota| quota.0);
    Ok(BucketOptions::new(objects, section.url.clone(), quota, fresh_id))
}

fn open_doors(config: &Config, cache: &Cache) -> Result<Router> {
    let mut sections = config.door.clone();
    let mut routes = Router::new();
    for door in DOORS {
        let section = match sections.remove(door.name) {
            None => toml::Table::new(),
            Some(toml::Value::Table(table)) => table,
            Some(_) => {
                let key = format!("door.{}", door.name);
                let message = format!("{key} must be a table; write [{key}]{}", config.origins.suffix(&key));
                return Err(Error::invalid("read configuration", message));
            }
        };
        let section = Section::new(door.name, section).with_origins(config.origins.clone());
        routes = routes.merge((door.open)(section, cache.door(door.door_name()))?);
    }
    if let Some(unknown) = sections.keys().next() {
        let known: Vec<&str> = DOORS.iter().map(|door| door.name).collect();
        let origin = config.origins.suffix(&format!("door.{unknown}"));
        return Err(Error::invalid(
            "read configuration",
            format!("there is no door {unknown:?}; the doors are {}{origin}", known.join(", ")),
        ));
    }
    Ok(routes)
}

/// The store as its operator sees it.
struct KeptStore {
    store: StoreService,
    opened_in: Duration,
    sweeping: Option<BucketSweep>,
}

impl Kept for KeptStore {
    fn status(&self) -> Value {
        let status = match self.store.store().status() {
            Ok(status) => status,
            Err(error) => return json!({ "error": error.to_string() }),
        };
        json!({
            "bytes": status.bytes,
            "staging_bytes": status.staging_bytes,
            "index_bytes": status.index_bytes,
            "quota": status.quota,
            "segments": status.segments,
            "adopted_segments": status.adopted_segments,
            "blobs": status.blobs,
            "entries": status.entries,
            "quarantined": status.quarantined,
            "evicted_segments": status.evicted_segments,
            "evicted_blobs": status.evicted_blobs,
            "checkpoints": status.checkpoints,
            "syncs": status.syncs,
            "disk_full": status.disk_full,
            "poisoned": status.poisoned,
            "open_seconds": self.opened_in.as_secs_f64(),
            "bucket": status.bucket.as_ref().map(bucket_status),
        })
    }

    fn collect_garbage(&self, quota: Option<u64>) -> BoxFuture<'_, Result<Value>> {
        Box::pin(async move {
            if let Some(quota) = quota {
                self.store.store().set_quota(quota);
            }
            upkeep::collect(&self.store, self.sweeping.as_ref()).await
        })
    }
}

fn bucket_status(status: &BucketStatus) -> Value {
    json!({
        "place": status.place,
        "objects": status.objects,
        "bytes": status.bytes,
        "quota": Some(status.quota).filter(|quota| *quota != u64::MAX),
        "doomed_objects": status.doomed_objects,
        "waiting_segments": status.waiting_segments,
        "offloaded_segments": status.offloaded_segments,
        "shipped": status.shipped,
        "adopted": status.adopted,
        "reads": status.reads,
        "read_bytes": status.read_bytes,
        "vanished": status.vanished,
        "deleted": status.deleted,
        "orphans": status.orphans,
        "repacked": status.repacked,
        "repacked_bytes": status.repacked_bytes,
        "failures": status.failures,
    })
}
