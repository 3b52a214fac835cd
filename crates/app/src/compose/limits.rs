//! Upkeep of what namespaces may hold: quotas, and scopes that nobody uses any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use larder_base::{BoxFuture, Clock, DoorName, Namespace, Result, Scope, Timestamp};
use larder_cache::{Cache, Job, Limits, Next, Quotas, Usage};
use larder_store::{Account, AccountLimits, StoreService, Sum};
use parking_lot::Mutex;
use tracing::info;

use crate::config::{ByteSize, Config};
use crate::doors::DOORS;
use crate::words::counted;

/// How often it is looked for namespaces that changed.
const QUOTA_EVERY: Duration = Duration::from_secs(10);
/// How often all of them are measured: eviction takes entries away too.
const MEASURED_EVERY: Duration = Duration::from_secs(600);
/// Of the time, measuring takes at most one part in so many.
const QUOTA_SHARE: u32 = 50;
/// How often it is looked for scopes that nobody uses.
const EXPIRY_EVERY: Duration = Duration::from_secs(3600);

/// Starts the jobs.
///
/// # Errors
/// [`larder_base::ErrorKind::Invalid`] when a name in `[namespaces]` is none.
pub fn start(config: &Config, cache: &Cache, store: &StoreService, clock: &Arc<dyn Clock>) -> Result<()> {
    let all = Limits { namespace: config.limits.namespace_quota.0, owner: config.limits.owner_quota.0 };
    let mut named = BTreeMap::new();
    for (name, section) in &config.namespaces {
        let namespace = section.quota.map_or(all.namespace, |quota| quota.0);
        let owner = section.owner_quota.map_or(all.owner, |quota| quota.0);
        named.insert(name.parse()?, Limits { namespace, owner });
    }
    cache.quotas().set_limits(all, named);
    let doors: Arc<[DoorName]> = DOORS.iter().map(larder_door::Door::door_name).collect();
    cache.jobs().start(Arc::new(QuotaUpkeep {
        store: store.clone(),
        quotas: cache.quotas().clone(),
        clock: clock.clone(),
        doors: doors.clone(),
        progress: Mutex::default(),
    }));
    if !config.limits.unused_scopes.0.is_zero() {
        cache.jobs().start_when_due(Arc::new(ScopeExpiry {
            store: store.clone(),
            quotas: cache.quotas().clone(),
            clock: clock.clone(),
            doors,
            unused: config.limits.unused_scopes.0,
            total: Mutex::default(),
        }));
    }
    Ok(())
}

/// Measures what namespaces take, and removes from each what is beyond its quota.
struct QuotaUpkeep {
    store: StoreService,
    quotas: Quotas,
    clock: Arc<dyn Clock>,
    /// The doors whose entries are their clients'; what a door remembers for itself is none of theirs.
    doors: Arc<[DoorName]>,
    progress: Mutex<QuotaProgress>,
}

#[derive(Default)]
struct QuotaProgress {
    /// When all namespaces were last measured.
    all_measured: Option<Timestamp>,
    namespaces: usize,
    removed: u64,
}

impl QuotaUpkeep {
    /// The namespaces to be measured now.
    async fn due(&self) -> Result<BTreeSet<Namespace>> {
        let last = self.progress.lock().all_measured;
        let now = self.clock.now();
        let mut due = BTreeSet::new();
        if last.is_none_or(|last| now.since(last) >= MEASURED_EVERY) {
            let doors = self.doors.clone();
            due.extend(self.store.blocking(move |store| store.namespaces(&doors)).await?);
            // Those that have nothing any more.
            due.extend(self.quotas.usage().into_keys());
            self.progress.lock().all_measured = Some(now);
        }
        due.extend(self.quotas.take_changed());
        Ok(due)
    }

    async fn look_after(&self, namespace: &Namespace) -> Result<()> {
        let limits = self.quotas.limits(namespace);
        let limits = AccountLimits { namespace: limits.namespace, owner: limits.owner };
        let (doors, of) = (self.doors.clone(), namespace.clone());
        let (account, removed) = self
            .store
            .blocking(move |store| {
                let account = store.account(&of, &doors, limits)?;
                let removed = store.remove_unused(&account.excess)?;
                Ok((account, removed))
            })
            .await?;
        if removed > 0 {
            let left = ByteSize(account.all.stored_bytes);
            info!(%namespace, removed, %left, "entries beyond the quota were removed");
        }
        if removed < account.excess.len() as u64 {
            // Some were used meanwhile, so that others are to go.
            self.quotas.note_change(namespace);
        }
        self.quotas.record(namespace, usage(&account, self.clock.now()));
        self.progress.lock().removed += removed;
        Ok(())
    }
}

impl Job for QuotaUpkeep {
    fn name(&self) -> &'static str {
        "quota"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            let began = self.clock.now();
            let mut due = self.due().await?;
            while let Some(namespace) = due.pop_first() {
                if let Err(error) = self.look_after(&namespace).await {
                    // The next step takes it up again, with those that were not looked at.
                    due.insert(namespace);
                    due.iter().for_each(|namespace| self.quotas.note_change(namespace));
                    return Err(error);
                }
            }
            self.progress.lock().namespaces = self.quotas.usage().len();
            let took = self.clock.now().since(began);
            Ok(Next::After(QUOTA_EVERY.max(took * QUOTA_SHARE)))
        })
    }

    fn status(&self) -> String {
        let progress = self.progress.lock();
        let namespaces = counted(progress.namespaces as u64, "namespace");
        format!("{namespaces}, {} removed since the start", counted(progress.removed, "entry"))
    }
}

fn usage(account: &Account, measured: Timestamp) -> Usage {
    let of = |sum: &Sum| Usage {
        entries: sum.entries,
        logical_bytes: sum.logical_bytes,
        stored_bytes: sum.stored_bytes,
        owners: Default::default(),
        measured,
    };
    let owners = account.owners.iter().map(|(name, sum)| (name.clone(), of(sum))).collect();
    Usage { owners, ..of(&account.all) }
}

/// Removes the entries of pull requests that nobody has used for long: most of these are closed.
struct ScopeExpiry {
    store: StoreService,
    quotas: Quotas,
    clock: Arc<dyn Clock>,
    doors: Arc<[DoorName]>,
    unused: Duration,
    total: Mutex<Expired>,
}

#[derive(Default)]
struct Expired {
    scopes: u64,
    entries: u64,
}

impl Job for ScopeExpiry {
    fn name(&self) -> &'static str {
        "scope-expiry"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            let unused = u64::try_from(self.unused.as_millis()).unwrap_or(u64::MAX);
            let before = Timestamp::from_millis(self.clock.now().as_millis().saturating_sub(unused));
            let doors = self.doors.clone();
            let scopes = self
                .store
                .blocking(move |store| store.unused_scopes(&doors, |scope| matches!(scope, Scope::Pr(_)), before))
                .await?;
            for larder_store::UnusedScope { namespace, scope, entries } in scopes {
                let removed = self.store.blocking(move |store| store.remove_unused(&entries)).await?;
                info!(%namespace, %scope, removed, "an unused scope was removed");
                self.quotas.note_change(&namespace);
                let mut total = self.total.lock();
                total.scopes += 1;
                total.entries += removed;
            }
            Ok(Next::After(EXPIRY_EVERY))
        })
    }

    fn status(&self) -> String {
        let total = self.total.lock();
        let (scopes, entries) = (counted(total.scopes, "scope"), counted(total.entries, "entry"));
        format!("{scopes} with {entries} removed since the start")
    }
}
