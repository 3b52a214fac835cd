//! `larder save`: files to the server, in one pipeline.

use std::io::{IsTerminal, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_base::{Error, ErrorKind, Key, Result};
use larder_proto::ci::{Purpose, UploadState, UploadStatus};
use larder_remote::ci::{Begin, CiClient, Finish, Found, Lookup, ManifestAddress};
use larder_tree::{
    CaptureLimits, Captured, EncodedManifest, Progress, Selection, Source, Summary, Survey, decode_manifest,
};

use crate::cli::{self, Transfer};
use crate::clock::SystemClock;
use crate::commands::transfer::{UploadSink, load_memory, store_memory};
use crate::config::ByteSize;
use crate::context::{Context, explain};
use crate::exit::Exit;
use crate::progress::{Progress as Shown, ProgressDisplay};
use crate::report::{Outcome, Report};
use crate::terminal::say;
use crate::words::{ago, counted};

/// The name of the one root that a plain save has.
pub const WORK: &str = "work";

/// The most bytes of a list of files on standard input.
const LIST_MAX_BYTES: u64 = 256 << 20;

/// How long a list may take to end before it is said what is waited for.
const LIST_PATIENCE: Duration = Duration::from_secs(2);

/// One folder of which something is saved.
pub struct Folder {
    /// Which it is.
    pub name: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// What of it.
    pub selection: Selection,
}

/// Runs the command.
pub fn run(context: &Context, options: &cli::Save) -> Result<Exit> {
    let key: Key = options.key.parse()?;
    let paths = if options.paths.is_empty() { paths_from_input(context.global.quiet)? } else { options.paths.clone() };
    let selection = Selection::of(&context.directory, &paths)?;
    let folder = Folder { name: WORK, path: context.directory.clone(), selection };
    save(context, &key, vec![folder], options.replace, options.transfer)
}

/// Saves folders under a key and prints the report.
///
/// # Errors
/// As [`saved`].
pub fn save(context: &Context, key: &Key, folders: Vec<Folder>, replace: bool, transfer: Transfer) -> Result<Exit> {
    Ok(finish(context, &saved(context, key, folders, replace, transfer)?))
}

/// Saves folders under a key.
///
/// # Errors
/// When what was asked for makes no sense; a fault on the way is part of the report.
pub fn saved(context: &Context, key: &Key, folders: Vec<Folder>, replace: bool, transfer: Transfer) -> Result<Ended> {
    let client = context.ci()?;
    let start = Instant::now();
    let mut report = Report::new(Outcome::Failed, key.as_str());
    let saved = Saving { context, client, key, replace, transfer }.run(folders, &mut report);
    report.took("total", start.elapsed());
    Ok(Ended::with(context, report, saved))
}

/// How a save or a restore ended.
pub struct Ended {
    /// What is told of it.
    pub report: Report,
    /// Whether there was no server, so that there is none for the next either.
    pub is_away: bool,
}

impl Ended {
    /// Completes a report by what came of it.
    pub fn with(context: &Context, mut report: Report, outcome: Result<Outcome>) -> Self {
        let is_away = matches!(&outcome, Err(error) if error.kind() == ErrorKind::Unavailable);
        match outcome {
            Ok(outcome) => report.result = outcome,
            // Nobody there is no failure of ours to report at length: the build goes on without.
            Err(error) => {
                let is_fault = !is_away || context.global.strict;
                report.result = if is_fault { Outcome::Failed } else { Outcome::Skipped };
                report.reason = Some(explain(&error));
            }
        }
        Self { report, is_away }
    }

    /// How a command ends that did this.
    pub fn exit(&self, context: &Context) -> Exit {
        let is_fault = self.report.result == Outcome::Failed || self.report.unreadable > 0;
        if is_fault && context.global.strict { Exit::Fault } else { Exit::Success }
    }
}

/// Prints a report and says how the command ends.
pub fn finish(context: &Context, ended: &Ended) -> Exit {
    context.print(&ended.report);
    ended.exit(context)
}

struct Saving<'a> {
    context: &'a Context,
    client: CiClient,
    key: &'a Key,
    replace: bool,
    transfer: Transfer,
}

impl Saving<'_> {
    fn run(&self, folders: Vec<Folder>, report: &mut Report) -> Result<Outcome> {
        let progress = Arc::new(Progress::new());
        let _display = ProgressDisplay::start("saving", self.context.silent(), {
            let progress = progress.clone();
            move || Shown {
                done: progress.bytes_done.get(),
                total: progress.bytes.get(),
                files: progress.files_done.get(),
            }
        });
        let start = Instant::now();
        let roots: Vec<PathBuf> = folders.iter().map(|folder| folder.path.clone()).collect();
        let sources = folders.into_iter().map(|folder| self.source(folder)).collect();
        let survey = Survey::take(sources, &SystemClock, threads(), &progress)?;
        report.took("walk", start.elapsed());
        report.warnings = survey.omissions().iter().map(ToString::to_string).collect();
        if survey.files() == 0 {
            report.reason = Some("there is nothing to save".into());
            return Ok(Outcome::Skipped);
        }
        if let Some(existing) = self.existing()?
            && self.is_saved(&survey, &existing, report)?
        {
            return Ok(Outcome::Unchanged);
        }
        self.upload(survey, &roots, &progress, report)
    }

    fn source(&self, folder: Folder) -> Source {
        let memory = load_memory(self.context, &folder.path);
        Source { name: folder.name.to_owned(), path: folder.path, selection: folder.selection, memory }
    }

    /// What is saved under the key itself.
    fn existing(&self) -> Result<Option<Found>> {
        let lookup = self.context.runtime.block_on(self.client.lookup(self.key, &[], Purpose::Check))?;
        Ok(match lookup {
            Lookup::Hit(found) => Some(*found),
            Lookup::Miss(_) => None,
        })
    }

    /// Whether what is saved holds the same; only asked when no file has to be read for the answer. Whether something else
    /// may be saved under the key is the server's to say: it may be of another scope than the one that is written.
    fn is_saved(&self, survey: &Survey<'_>, existing: &Found, report: &mut Report) -> Result<bool> {
        let Some(manifest) = survey.manifest() else { return Ok(false) };
        let summary = summary_of(&manifest)?;
        (report.files, report.bytes) = (summary.files, summary.bytes);
        // A replacement brings the new times of files, so only the very same list of files is no change.
        let same = if self.replace {
            existing.manifest.digest == manifest.digest
        } else {
            existing.content == summary.content
        };
        Ok(same)
    }

    fn upload(
        &self,
        survey: Survey<'_>,
        roots: &[PathBuf],
        progress: &Progress,
        report: &mut Report,
    ) -> Result<Outcome> {
        let runtime = &self.context.runtime;
        let begin = Begin {
            key: self.key.clone(),
            bytes: progress.bytes.get(),
            files: survey.files() as u64,
            replace: self.replace,
        };
        let upload = match runtime.block_on(self.client.begin(&begin)) {
            Err(error) if self.transfer.at_end && error.kind() == ErrorKind::Denied => {
                report.reason = Some(explain(&error));
                return Ok(Outcome::Skipped);
            }
            begun => begun?,
        };
        let left_out = survey.omissions().len();
        let mut limits = CaptureLimits::new(threads());
        limits.level = self.transfer.level;
        limits.segment_bytes = limits.segment_bytes.min(usize::try_from(upload.part_max_bytes).unwrap_or(usize::MAX));
        let start = Instant::now();
        let sink = UploadSink::new(self.context, self.client.clone(), upload.clone());
        // The server sweeps what is given up anyway; this only frees the space sooner.
        let give_up = || drop(runtime.block_on(self.client.abort(&upload.id)));
        let captured = survey.save(&sink, &limits, progress).inspect_err(|_| give_up())?;
        report.took("send", start.elapsed());
        report.warnings = captured.omissions.iter().map(ToString::to_string).collect();
        report.unreadable = (captured.omissions.len() - left_out) as u64;
        if captured.files == 0 {
            give_up();
            return match report.unreadable {
                0 => {
                    report.reason = Some("there is nothing to save any more".into());
                    Ok(Outcome::Skipped)
                }
                _ => Err(Error::new(ErrorKind::Failed, "save", "no file could be read")
                    .with_hint("see above which, and who may read them")),
            };
        }
        (report.new_bytes, report.transferred_bytes) = (progress.raw_bytes_sent.get(), sink.moved());
        let start = Instant::now();
        let finish = finish_of(&captured, sink.parts())?;
        (report.files, report.bytes) = (finish.files, finish.bytes);
        let status = runtime.block_on(self.client.finish(&upload.id, &finish, self.transfer.patience()))?;
        report.took("publish", start.elapsed());
        let outcome = self.outcome(&status, report)?;
        for (root, memory) in roots.iter().zip(&captured.memories) {
            store_memory(self.context, root, memory);
        }
        Ok(outcome)
    }

    fn outcome(&self, status: &UploadStatus, report: &mut Report) -> Result<Outcome> {
        let unreadable = (report.unreadable > 0).then(|| counted(report.unreadable, "file"));
        report.reason =
            unreadable.map(|files| format!("without {files} that could not be read")).or(status.reason.clone());
        match status.state {
            UploadState::Published => Ok(Outcome::Saved),
            UploadState::Unchanged => Ok(Outcome::Unchanged),
            UploadState::Refused => {
                if let Some(existing) = &status.existing {
                    report.reason = Some(self.taken(&existing.writer, existing.created_ms));
                }
                Ok(Outcome::Skipped)
            }
            UploadState::Failed => Err(Error::new(
                ErrorKind::Failed,
                "publish",
                status.reason.clone().unwrap_or_else(|| "the server gave no reason".into()),
            )),
            UploadState::Queued => {
                report.reason = Some("everything is sent; the server is still checking it".into());
                Ok(Outcome::Queued)
            }
            UploadState::Aborted | UploadState::Open => Err(Error::new(
                ErrorKind::Failed,
                "publish",
                format!("the upload was {}: it took too long, or another process gave it up", status.state.as_str()),
            )),
        }
    }

    fn taken(&self, writer: &str, created_ms: u64) -> String {
        let when = ago(self.context.now(), larder_base::Timestamp::from_millis(created_ms));
        format!("{} was saved {when} by {writer} with other content; --replace replaces it", self.key)
    }
}

fn finish_of(captured: &Captured, parts: Vec<u32>) -> Result<Finish> {
    let manifest = &captured.manifest;
    let summary = summary_of(manifest)?;
    Ok(Finish {
        manifest: ManifestAddress {
            digest: manifest.digest,
            chunks: manifest.chunks.iter().map(|(digest, _)| *digest).collect(),
        },
        parts,
        content: summary.content,
        files: summary.files,
        bytes: summary.bytes,
    })
}

fn summary_of(manifest: &EncodedManifest) -> Result<Summary> {
    Summary::of(&decode_manifest(&manifest.bytes)?)
}

/// Threads for reading and hashing: one a core.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

/// The paths listed on standard input, ended by NULs if it holds one, else by newlines.
fn paths_from_input(is_quiet: bool) -> Result<Vec<PathBuf>> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return Err(Error::invalid("read arguments", "no paths were given")
            .with_hint("name files and folders, or send a list of them to standard input"));
    }
    let list = read_list(input.lock().take(LIST_MAX_BYTES + 1), is_quiet)?;
    if list.len() as u64 > LIST_MAX_BYTES {
        return Err(Error::invalid("read list of files", format!("it has more than {}", ByteSize(LIST_MAX_BYTES))));
    }
    let end = if list.contains(&0) { 0 } else { b'\n' };
    let names = list.split(|byte| *byte == end).filter(|name| !name.is_empty());
    Ok(names.map(|name| PathBuf::from(std::ffi::OsString::from_vec(name.to_vec()))).collect())
}

/// All of the list. An input that nobody ends looks like a command that hangs: after a while it is said what is waited for.
fn read_list(mut input: impl Read, is_quiet: bool) -> Result<Vec<u8>> {
    let (ended, waiting) = crossbeam_channel::bounded::<()>(0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if waiting.recv_timeout(LIST_PATIENCE).is_err_and(|error| error.is_timeout()) && !is_quiet {
                say!("no path was given: waiting for the end of a list of files on standard input");
            }
        });
        let mut list = Vec::new();
        let read = input.read_to_end(&mut list);
        drop(ended);
        read.map_err(|error| {
            Error::new(ErrorKind::Failed, "read list of files", "standard input broke off").with_source(error)
        })?;
        Ok(list)
    })
}
