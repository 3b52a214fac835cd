//! `larder serve`: the server, from start to orderly end.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_base::{Error, ErrorKind, Result};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::cli;
use crate::compose::{compose, data_directory};
use crate::config::{Config, Layers, LogFormat, LogSection, misspelt};
use crate::doors::DOORS;
use crate::exit::Exit;
use crate::server::{Listener, ServerLimits};
use crate::tokens::TokenFile;

/// How long jobs may take to come to a stop.
const JOBS_STOP: Duration = Duration::from_secs(10);

/// Runs the server until it is told to stop.
pub fn run(options: &cli::Serve, environment: &BTreeMap<String, String>) -> Result<Exit> {
    let config = configuration(options, environment)?;
    let data = data_directory(config.data.as_deref(), environment)?;
    config.check(TokenFile::exists(&data))?;
    log_to_standard_error(&config.log);
    for slip in misspelt(environment) {
        warn!("{slip}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorKind::Failed, "start the runtime", "the system refused").with_source(error))?;
    runtime.block_on(serve(&config, &data, environment))?;
    Ok(Exit::Success)
}

async fn serve(config: &Config, data: &Path, environment: &BTreeMap<String, String>) -> Result<()> {
    // The address first: a second server by mistake should say that, and not that the directory is in use.
    let listener = Listener::bind(&config.listen, config.socket_mode, ServerLimits::default()).await?;
    let urls = listener.urls()?;
    let server = compose(config, data, environment).await?;
    let also = urls[1..].join(" ");
    info!(url = %urls[0], also = (!also.is_empty()).then_some(also), "ready");
    let served = listener.serve(server.routes, told_to_stop()).await;
    let late = server.jobs.stop(JOBS_STOP).await;
    if !late.is_empty() {
        warn!(jobs = late.join(", "), "jobs did not stop in time; they go on at the next start");
    }
    if let Some(bucket) = &server.bucket {
        bucket.end();
    }
    server.store.close().await?;
    info!("stopped");
    served
}

async fn told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        warn!("signals cannot be handled here; stop the server by ending the process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// The configuration that file, environment and flags make.
///
/// # Errors
/// [`ErrorKind::Invalid`], naming the key and where it came from.
pub fn configuration(options: &cli::Serve, environment: &BTreeMap<String, String>) -> Result<Config> {
    let mut layers = Layers::new();
    let asked = options.config.as_deref().filter(|path| !path.as_os_str().is_empty());
    if let Some((path, text)) = file(asked, environment)? {
        layers.file(&path.display().to_string(), &text)?;
    }
    let doors: Vec<&str> = DOORS.iter().map(|door| door.name).collect();
    layers.environment(environment, &doors);
    if let Some(listen) = &options.listen {
        layers.flag("--listen", "listen", listen.to_string());
    }
    if let Some(data) = &options.data {
        layers.flag("--data", "data", data.display().to_string());
    }
    if let Some(quota) = options.quota {
        layers.flag("--quota", "quota", quota.bytes().to_string());
    }
    layers.config()
}

/// The configuration file: the one that was asked for, which must be there, else the user's, if there is one.
fn file(asked: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<Option<(PathBuf, String)>> {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let (path, must) = match asked {
        Some(path) => (path.to_owned(), true),
        None => {
            let folder = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
            let Some(folder) = folder else { return Ok(None) };
            (folder.join("larder/larder.toml"), false)
        }
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(Error::invalid("read configuration", format!("{} is no text, so no TOML", path.display())))
        }
        Err(error) => {
            Err(Error::invalid("read configuration", format!("{} cannot be read", path.display())).with_source(error))
        }
    }
}

fn log_to_standard_error(section: &LogSection) {
    let mut lines = tracing_subscriber::fmt().with_env_filter(section.level.filter()).with_writer(std::io::stderr);
    if !std::io::stderr().is_terminal() {
        lines = lines.with_ansi(false);
    }
    match section.format {
        LogFormat::Text => lines.with_target(false).init(),
        LogFormat::Json => lines.json().init(),
    }
}
