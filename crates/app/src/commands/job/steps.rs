//! A job over several steps of a CI: begun by one process, kept by another, ended by a third.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use larder_base::{Error, ErrorKind, Result};
use serde_json::json;

use super::{finish, open, report, runtime};
use crate::cli::{Global, JobFormat, JobPlace, JobRunning};
use crate::context::explain;
use crate::exit::Exit;
use crate::job::folder::{Folder, Owned};
use crate::job::queue::Status;
use crate::job::server::{Ends, Server};
use crate::job::{Request, Signals, VARIABLE, client};
use crate::terminal::{out, say};

/// How long a job that nobody ends takes commands. What is queued stays on disk.
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// How often it is looked whether the folder was removed by hand.
const LOOK: Duration = Duration::from_secs(60);
/// How long the process that had the job may take to let go of it.
const HANDOVER: Duration = Duration::from_secs(10);
/// The pause between two tries to take the job over.
const PAUSE: Duration = Duration::from_millis(20);
/// What the process says that takes the commands, once it does.
const READY: &str = "ready";

/// Opens a job and leaves a process behind that takes its commands.
pub(super) fn begin(
    global: &Global,
    place: &JobPlace,
    format: JobFormat,
    environment: &BTreeMap<String, String>,
) -> Result<Exit> {
    let owned = open(place, environment)?;
    let folder = owned.folder().clone();
    // The other process takes it over.
    drop(owned);
    if let Err(error) = start_server(&folder) {
        let _ = std::fs::remove_dir_all(folder.path());
        return Err(error);
    }
    let path = folder.path().to_str().expect("a job's folder was made with a name that is text");
    if global.json {
        out!("{}", json!({ "job": path }));
        return Ok(Exit::Success);
    }
    match format {
        JobFormat::Shell => out!("export {VARIABLE}='{}'", path.replace('\'', "'\\''")),
        JobFormat::Github | JobFormat::Dotenv => out!("{VARIABLE}={path}"),
    }
    Ok(Exit::Success)
}

fn start_server(folder: &Folder) -> Result<()> {
    let failed = |what: &str, source: std::io::Error| {
        Error::new(ErrorKind::Failed, "open job", what.to_owned()).with_source(source)
    };
    let program = std::env::current_exe().map_err(|source| failed("larder's own program is not found", source))?;
    // Nothing of the step is kept open by it: a step ends when nobody holds its output any more.
    let mut child = Command::new(program)
        .args(["job", "serve"])
        .arg(folder.path())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|source| failed("the process that takes commands does not start", source))?;
    let mut said = String::new();
    let output = child.stdout.take().expect("it was asked for");
    BufReader::new(output).read_line(&mut said).map_err(|source| failed("the process says nothing", source))?;
    if said.trim() == READY {
        return Ok(());
    }
    let why = if said.is_empty() { "it ended at once" } else { said.trim() };
    Err(Error::new(ErrorKind::Failed, "open job", format!("the process that takes commands: {why}")))
}

/// Takes commands until the job is ended, its folder is removed, or a day is over.
pub(super) fn serve(path: &Path) -> Result<Exit> {
    let prepared = Folder::at(path).own().and_then(|owned| {
        // Whoever ends the step, or closes its terminal, does not end the job.
        let _ = rustix::process::setsid();
        let runtime = runtime()?;
        let server = {
            let _inside = runtime.enter();
            Server::open(owned, Ends::WhenAsked)?
        };
        Ok((runtime, server))
    });
    let (runtime, server) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            out!("{}", explain(&error));
            return Ok(Exit::Fault);
        }
    };
    out!("{READY}");
    let _ = std::io::stdout().flush();
    let over = Instant::now() + LIFE;
    runtime.block_on(async {
        let abandoned = async {
            while Instant::now() < over && server.has_folder() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = server.serve() => {}
            () = abandoned => {}
        }
    });
    Ok(Exit::Success)
}

/// Ends a job and runs its queue in this process, whose output is that of the step.
pub(super) fn end(global: &Global, folder: Option<&Path>, status: Status, running: JobRunning) -> Result<Exit> {
    let Some(folder) = named(folder) else {
        return nothing(global, "no job is open here");
    };
    if !folder.exists() {
        return nothing(
            global,
            &format!("there is no job in {}: it has ended, or was never begun", folder.path().display()),
        );
    }
    let owned = take_over(&folder, status)?;
    let mut queue = folder.load()?;
    queue.end(status);
    owned.store(&queue)?;
    let runtime = runtime()?;
    let mut signals = runtime.block_on(async { Signals::take(std::io::IsTerminal::is_terminal(&std::io::stdin())) })?;
    let is_good = finish(global, &runtime, owned, running, &mut signals)?;
    Ok(if is_good || !global.strict { Exit::Success } else { Exit::Fault })
}

fn nothing(global: &Global, why: &str) -> Result<Exit> {
    if global.json {
        out!("{}", report(None, &[]));
    } else if !global.quiet {
        say!("{why}");
    }
    Ok(Exit::Success)
}

/// Has the process that takes commands let go of the job; where that was killed, there is nobody to ask.
fn take_over(folder: &Folder, status: Status) -> Result<Owned> {
    let asked = client::ask(folder, &Request::End { status });
    let over = match asked {
        Ok(_) => Instant::now() + HANDOVER,
        Err(error) if error.kind() == ErrorKind::Unavailable => Instant::now(),
        Err(error) => return Err(error),
    };
    loop {
        match folder.own() {
            Err(error) if error.kind() == ErrorKind::Unavailable && Instant::now() < over => std::thread::sleep(PAUSE),
            owned => return owned,
        }
    }
}

/// Shows what is queued.
pub(super) fn status(global: &Global, folder: Option<&Path>) -> Result<Exit> {
    let Some(folder) = named(folder) else {
        return Err(Error::invalid("show job", "no job is open here")
            .with_hint("open one with `larder job run` or `larder job begin`"));
    };
    let tasks = client::ask(&folder, &Request::Status)?;
    if global.json {
        out!("{}", json!({ "job": folder.path(), "commands": tasks }));
        return Ok(Exit::Success);
    }
    if tasks.is_empty() {
        out!("nothing is queued");
    }
    for task in &tasks {
        let when = serde_json::to_value(task.when).unwrap_or_default();
        out!("{:<8} {}: {}", when.as_str().unwrap_or_default(), task.name, task.command);
    }
    Ok(Exit::Success)
}

/// The job that is meant; an empty variable, as a pipeline leaves where nothing was set, means none.
fn named(folder: Option<&Path>) -> Option<Folder> {
    folder.filter(|folder| !folder.as_os_str().is_empty()).map(Folder::at)
}
