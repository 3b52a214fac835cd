//! `larder job`: a CI job from its beginning to its end, and what runs there.

mod steps;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use larder_base::{ContentHash, Error, ErrorKind, Result};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::cli::{Global, JobCommand, JobPlace, JobRunning};
use crate::context::explain;
use crate::exit::Exit;
use crate::job::child::{Reach, Running};
use crate::job::folder::{Folder, Owned};
use crate::job::queue::Status;
use crate::job::runner::{Outcome, Rules, Told, Turn, code_of, run as run_queue};
use crate::job::server::{Ends, Server};
use crate::job::{Signals, VARIABLE};
use crate::terminal::{out, say};

/// Runs the command. A fault of the queue is a fault of a cache: it fails no build without `--strict`.
pub fn run(global: &Global, command: JobCommand, environment: &BTreeMap<String, String>) -> Exit {
    let ended = match command {
        JobCommand::Run { place, running, command } => return around(global, &place, running, &command, environment),
        JobCommand::Begin { place, format } => steps::begin(global, &place, format, environment),
        JobCommand::End { job, status, running } => steps::end(global, job.folder.as_deref(), status, running),
        JobCommand::Status { job } => steps::status(global, job.folder.as_deref()),
        JobCommand::Serve { folder } => steps::serve(&folder),
    };
    ended.unwrap_or_else(|error| {
        if global.json {
            out!("{}", json!({"error": {"kind": error.kind().as_str(), "message": explain(&error)}}));
        } else {
            say!("{}", explain(&error));
        }
        if global.strict { Exit::Fault } else { Exit::Success }
    })
}

/// A job around a command. Whatever is wrong with the job, the command runs, and its end is this end.
fn around(
    global: &Global,
    place: &JobPlace,
    running: JobRunning,
    words: &[OsString],
    environment: &BTreeMap<String, String>,
) -> Exit {
    let prepared = runtime().and_then(|runtime| {
        let signals = runtime.block_on(async { Signals::take(std::io::stdin().is_terminal()) })?;
        Ok((runtime, signals))
    });
    let (runtime, mut signals) = match prepared {
        Ok(prepared) => prepared,
        // This process becomes the command: nothing is left that could be in its way.
        Err(error) => {
            say!("there is no job around the command: {}", explain(&error));
            let source = command_of(global, words).exec();
            return not_started(words, &source);
        }
    };
    let opened = open(place, environment).and_then(|owned| {
        let _inside = runtime.enter();
        Server::open(owned, Ends::WithItsCommand)
    });
    let server = opened.inspect_err(|error| say!("there is no job around the command: {}", explain(error))).ok();
    let mut command = command_of(global, words);
    if let Some(server) = &server {
        command.env(VARIABLE, server.folder().path());
    }
    let ended = match Running::start(&mut command, Reach::Child) {
        Ok(child) => runtime.block_on(async {
            let serving = async {
                if let Some(server) = &server {
                    server.serve().await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                ended = child.end(&mut signals, None) => ended,
                () = serving => unreachable!("it is pending for ever"),
            }
        }),
        Err(error) => Err(error),
    };
    let exit = match &ended {
        Ok(ended) => Exit::Command(code_of(ended.status)),
        Err(error) => not_started(words, error),
    };
    let status = if exit == Exit::Command(0) { Status::Success } else { Status::Failure };
    let Some(server) = server else { return fault_counts(exit, global.strict) };
    // A defect of ours is a fault like any other, and the command's own end is known by now.
    let finished = catch_unwind(AssertUnwindSafe(|| {
        let owned = server.end(status)?;
        finish(global, &runtime, owned, running, &mut signals)
    }))
    .unwrap_or_else(|_| Err(Error::new(ErrorKind::Failed, "end job", "larder has a defect; please report it")));
    let is_good = finished.unwrap_or_else(|error| {
        say!("{}", explain(&error));
        false
    });
    fault_counts(exit, global.strict && !is_good)
}

/// A fault shows only where the command itself has nothing worse to tell.
fn fault_counts(exit: Exit, is_fault: bool) -> Exit {
    if is_fault && exit == Exit::Command(0) { Exit::Fault } else { exit }
}

fn command_of(global: &Global, words: &[OsString]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    if let Some(directory) = &global.directory {
        command.current_dir(directory);
    }
    command
}

/// As a shell says it.
fn not_started(words: &[OsString], error: &std::io::Error) -> Exit {
    say!("{}: {error}", words[0].display());
    Exit::Command(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 })
}

/// Runs what is queued, tells of it, and removes the job; says whether all is good.
fn finish(
    global: &Global,
    runtime: &Runtime,
    owned: Owned,
    running: JobRunning,
    signals: &mut Signals,
) -> Result<bool> {
    let rules = Rules { deadline: Duration::from_secs(running.deadline), output_is_for_report: global.json };
    let ending = owned.folder().load()?.ending();
    let all = runtime.block_on(run_queue(&owned, &rules, signals, |turn| tell(global, &turn)))?;
    owned.remove()?;
    let is_good = all.iter().all(|told| told.result.is_good());
    if global.json {
        out!("{}", report(ending, &all));
    }
    Ok(is_good)
}

fn report(ending: Option<Status>, all: &[Told]) -> Value {
    json!({ "status": ending, "commands": all })
}

fn tell(global: &Global, turn: &Turn<'_>) {
    match turn {
        Turn::Begins(task) if !global.quiet => say!("at the job's end: {}", task.name),
        Turn::Over(told) if !told.result.is_good() || !global.quiet => {
            let why = match (&told.reason, told.code) {
                (Some(reason), _) => format!(": {reason}"),
                (None, Some(code)) => format!(": it ended with code {code}"),
                (None, None) => String::new(),
            };
            let name = &told.name;
            match told.result {
                Outcome::Done => say!("{name}: done, {:.2} s", told.seconds),
                Outcome::Failed => say!("{name} failed{why}"),
                Outcome::Late => say!("{name} was ended{why}"),
                Outcome::Skipped => say!("{name} is for another end of the job"),
                Outcome::Interrupted => say!("{name} was interrupted{why}"),
            }
        }
        Turn::Begins(_) | Turn::Over(_) => {}
    }
}

/// Makes the folder of a new job.
fn open(place: &JobPlace, environment: &BTreeMap<String, String>) -> Result<Owned> {
    if let Some(state) = &place.state {
        return Folder::create(state);
    }
    let mut random = [0; 8];
    getrandom::fill(&mut random)
        .map_err(|_| Error::new(ErrorKind::Failed, "open job", "the system gave no random bytes"))?;
    let name = format!("larder-job-{}", &ContentHash::of(&random).to_hex()[..16]);
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let temporary = variable("RUNNER_TEMP").or_else(|| variable("TMPDIR")).unwrap_or_else(|| "/tmp".into());
    // A socket's path is short; the usual place always is.
    match Folder::create(&temporary.join(&name)) {
        Err(error) if error.kind() == ErrorKind::Invalid => Folder::create(&Path::new("/tmp").join(&name)),
        created => created,
    }
}

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::new(ErrorKind::Failed, "start the runtime", "the system refused").with_source(source))
}
