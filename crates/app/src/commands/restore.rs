//! `larder restore`: a saved tree from the server, in one pipeline.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use larder_base::{ContentHash, Error, ErrorKind, Key, Result};
use larder_proto::ci::Purpose;
use larder_remote::ci::{CiClient, Found, Lookup};
use larder_tree::{Comparison, Materialiser, Plan, PlanLimits, Progress, Restored, Target};

use crate::cli;
use crate::clock::SystemClock;
use crate::commands::fetch::{Fetched, fetch, fetch_manifest, until_settled};
use crate::commands::post;
use crate::commands::save::{Ended, WORK, finish, threads};
use crate::commands::transfer::{load_memory, store_memory};
use crate::config::ByteSize;
use crate::context::{Context, explain};
use crate::exit::Exit;
use crate::progress::{Progress as Shown, ProgressDisplay};
use crate::report::{Outcome, Report};
use crate::terminal::say;

/// Records that wait between the network and the threads that write files: at most as many bytes as chunks have.
const RECORDS_AHEAD: usize = 24;
/// Where a root of a saved tree goes.
pub struct Place {
    /// Which root.
    pub name: &'static str,
    /// Where it goes.
    pub path: PathBuf,
}

/// Runs the command.
pub fn run(context: &Context, options: &cli::Restore) -> Result<Exit> {
    let places = [Place { name: WORK, path: context.directory.clone() }];
    let key = options.key.parse()?;
    if options.at_end.save_at_end.is_some() && options.paths.is_empty() {
        return Err(Error::invalid("read arguments", "--save-at-end was given, and no path to save")
            .with_hint("name files and folders behind the key"));
    }
    let ended = restored(context, &key, &options.fallback, &places, Some(options.max_size))?;
    // The save itself finds out whether anything changed, so it is queued whatever came of the restore.
    let words = ["save", "--at-end", "--", options.key.as_str()].map(Into::into);
    let paths = options.paths.iter().map(|path| path.clone().into_os_string());
    post::save_at_end(context, options.at_end, words.into_iter().chain(paths).collect());
    Ok(finish(context, &ended))
}

/// Restores what is saved under a key.
///
/// # Errors
/// When what was asked for makes no sense; a fault on the way is part of the report.
pub fn restored(
    context: &Context,
    key: &Key,
    fallbacks: &[String],
    places: &[Place],
    max_size: Option<ByteSize>,
) -> Result<Ended> {
    let restoring = Restoring { context, client: context.ci()?, places, max_size };
    let start = Instant::now();
    let mut report = Report::new(Outcome::Failed, key.as_str());
    let restored = restoring.run(key, fallbacks, &mut report);
    report.took("total", start.elapsed());
    Ok(Ended::with(context, report, restored))
}

struct Restoring<'a> {
    context: &'a Context,
    client: CiClient,
    places: &'a [Place],
    max_size: Option<ByteSize>,
}

impl Restoring<'_> {
    fn run(&self, key: &Key, fallbacks: &[String], report: &mut Report) -> Result<Outcome> {
        let runtime = &self.context.runtime;
        let start = Instant::now();
        let found = match runtime.block_on(self.client.lookup(key, fallbacks, Purpose::Restore))? {
            Lookup::Hit(found) => found,
            Lookup::Miss(reason) => {
                report.reason = Some(reason);
                return Ok(Outcome::Miss);
            }
        };
        report.took("lookup", start.elapsed());
        if found.key != *key {
            report.matched_key = Some(found.key.to_string());
        }
        self.make(&found, report)?;
        Ok(if found.key == *key { Outcome::Hit } else { Outcome::Partial })
    }

    /// Says of an entry that is too large what is too much, and where that was said.
    fn beyond(&self, found: &Found, error: Error) -> Error {
        match self.max_size {
            Some(most) if error.kind() == ErrorKind::TooLarge && found.bytes > most.0 => {
                let message = format!("{} has {}, and it may have {most}", found.key, ByteSize(found.bytes));
                Error::new(ErrorKind::TooLarge, "restore", message).with_hint("--max-size sets how much it may have")
            }
            _ => error,
        }
    }

    fn make(&self, found: &Found, report: &mut Report) -> Result<()> {
        let moved = AtomicU64::new(0);
        let progress = Arc::new(Progress::new());
        let _display = ProgressDisplay::start("restoring", self.context.silent(), {
            let progress = progress.clone();
            move || Shown {
                done: progress.bytes_done.get(),
                total: progress.bytes.get(),
                files: progress.files_done.get(),
            }
        });
        let start = Instant::now();
        let manifest = self.context.runtime.block_on(fetch_manifest(&self.client, found, &moved))?;
        let mut limits = PlanLimits::default();
        if let Some(most) = self.max_size {
            limits.bytes = most.0;
        }
        let plan = Plan::read(manifest, &limits).map_err(|error| self.beyond(found, error))?;
        let targets = self.targets(&plan)?;
        (report.files, report.bytes) = (found.files, found.bytes);
        report.took("plan", start.elapsed());
        let start = Instant::now();
        let comparison = Comparison::of(plan, targets, &SystemClock, threads(), &progress)?;
        report.took("compare", start.elapsed());
        let start = Instant::now();
        let materialiser = comparison.begin(&progress)?;
        report.new_bytes = materialiser.needed().iter().map(|chunk| chunk.size).sum();
        let fetched = self.fetch_all(&materialiser, &moved);
        let restored = materialiser.finish(&SystemClock)?;
        report.took("write", start.elapsed());
        report.transferred_bytes = moved.load(Ordering::Relaxed);
        self.remember(&restored);
        let settled = settle(&restored, report);
        // Whatever broke it off, the tree is now a mixture: that is a fault, and never "nothing was done".
        fetched.map_err(|error| {
            let message = format!("it broke off; {} files are not as they were saved", report.warnings.len());
            Error::new(ErrorKind::Failed, "restore", message).with_source(error)
        })?;
        settled
    }

    /// Where each root of the plan goes. A place that it has no root for is not touched.
    fn targets(&self, plan: &Plan) -> Result<Vec<Target>> {
        let target = |place: &Place| {
            // The folder itself may be what was wiped.
            std::fs::create_dir_all(&place.path).map_err(|error| {
                Error::new(ErrorKind::Failed, "make folder", place.path.display().to_string()).with_source(error)
            })?;
            let memory = load_memory(self.context, &place.path);
            Ok(Target { name: place.name.to_owned(), path: place.path.clone(), memory })
        };
        self.places.iter().filter(|place| plan.roots().any(|root| root == place.name)).map(target).collect()
    }

    /// Fetches until nothing is needed any more.
    fn fetch_all(&self, materialiser: &Materialiser<'_>, moved: &AtomicU64) -> Result<()> {
        let needed = materialiser.needed().iter().map(|chunk| chunk.hash).collect();
        let lost = until_settled(needed, |needed| self.fetch_once(materialiser, needed, moved))?;
        if lost.is_empty() {
            return Ok(());
        }
        let what = format!("{} chunks are damaged or gone on the server", lost.len());
        Err(Error::new(ErrorKind::Corrupt, "restore", what)
            .with_hint("purge the entry with `larder purge` and save it again"))
    }

    /// Fetches what is needed with all cores writing files; gives what is still needed.
    fn fetch_once(
        &self,
        materialiser: &Materialiser<'_>,
        needed: &[ContentHash],
        moved: &AtomicU64,
    ) -> Result<Vec<ContentHash>> {
        let (records, waiting) = crossbeam_channel::bounded::<Fetched>(RECORDS_AHEAD);
        let left = parking_lot::Mutex::new(needed.iter().copied().collect::<std::collections::HashSet<_>>());
        let fetched = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..threads())
                .map(|_| {
                    let (waiting, left) = (waiting.clone(), &left);
                    scope.spawn(move || write_all(materialiser, &waiting, left))
                })
                .collect();
            drop(waiting);
            let fetched = self.context.runtime.block_on(fetch(&self.client, needed, moved, |record| {
                // Blocking here holds the network back while the files are written: the one bound on memory.
                let sent = tokio::task::block_in_place(|| records.send(record));
                sent.map_err(|_| Error::new(ErrorKind::Failed, "restore", "the files could not be written"))
            }));
            drop(records);
            for writer in writers {
                writer.join().expect("a writer returns its errors")?;
            }
            fetched
        });
        fetched?;
        let left = left.into_inner();
        Ok(needed.iter().filter(|hash| left.contains(*hash)).copied().collect())
    }

    fn remember(&self, restored: &Restored) {
        for (name, memory) in &restored.memories {
            if let Some(place) = self.places.iter().find(|place| place.name == name) {
                store_memory(self.context, &place.path, memory);
            }
        }
    }
}

/// Writes records until none comes any more; a damaged one is left for the next round.
fn write_all(
    materialiser: &Materialiser<'_>,
    waiting: &crossbeam_channel::Receiver<Fetched>,
    left: &parking_lot::Mutex<std::collections::HashSet<ContentHash>>,
) -> Result<()> {
    for record in waiting {
        match materialiser.push(&record.header, &record.body) {
            Ok(_) => {
                left.lock().remove(&record.header.hash);
            }
            Err(error) if error.kind() == ErrorKind::Corrupt => say!("{}", explain(&error)),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What could not be made is told, and is a fault.
fn settle(restored: &Restored, report: &mut Report) -> Result<()> {
    report.warnings = restored.refusals.iter().map(ToString::to_string).collect();
    report.warnings.extend(restored.incomplete.iter().map(|path| format!("{path}: not all of it came")));
    if restored.is_complete() {
        return Ok(());
    }
    let left = restored.refusals.len() + restored.incomplete.len();
    Err(Error::new(ErrorKind::Failed, "restore", format!("{left} files are not as they were saved"))
        .with_hint("each is named above, and is as it was before"))
}
