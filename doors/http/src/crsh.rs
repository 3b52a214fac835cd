//! `larder crsh`: ccache's storage helper.
//!
//! ccache from 4.13 speaks to a helper process over a Unix socket, in a small binary protocol (its
//! `doc/remote_storage_helper_spec.md`). The helper holds the connection to the server, so that no compilation waits for
//! one, and answers a miss when the server is away. Whoever may open the socket may do what the helper may: the socket is
//! its user's alone.
//!
//! It is started by ccache itself, told what to do by `CRSH_*` variables, or by hand with the path of the socket.

mod codec;
mod forward;
mod serve;
mod socket;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};
use larder_base::{BoxFuture, Error, Namespace, Result};
use larder_door::{Helper, HelperContext};

use forward::{Forward, Server};

/// The helper, as a command of the application and as the program that ccache looks for.
pub(crate) const HELPER: Helper = Helper {
    name: "crsh",
    about: "ccache's storage helper: answers on a Unix socket and forwards to the server",
    usage: "SOCKET [--idle-timeout SECONDS]",
    program: Some("ccache-storage-larder"),
    run,
};

/// How long an idle helper stays when ccache started it and did not say.
const IDLE_DEFAULT: Duration = Duration::from_secs(600);

fn run(context: HelperContext) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let plan = Plan::read(&context.arguments, &context.environment, &context.namespace)?;
        let (listener, _file) = socket::bind(&plan.socket).await?;
        let forward = Forward::new(context.exchange, plan.server, plan.notes);
        serve::serve(listener, &forward, plan.idle).await;
        Ok(())
    })
}

/// What one helper does, from its arguments and environment.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    socket: PathBuf,
    /// Ends after this long without a request; `None` for never.
    idle: Option<Duration>,
    server: Server,
    /// What the user should know about the settings; ccache logs it.
    notes: Vec<String>,
}

impl Plan {
    fn read(arguments: &[String], environment: &BTreeMap<String, String>, namespace: &Namespace) -> Result<Self> {
        let mut socket = environment.get("CRSH_IPC_ENDPOINT").map(PathBuf::from);
        let mut idle = match environment.get("CRSH_IDLE_TIMEOUT") {
            Some(seconds) => seconds_of("CRSH_IDLE_TIMEOUT", seconds)?,
            // Without these variables someone runs it by hand, for as long as they like.
            None => socket.is_some().then_some(IDLE_DEFAULT),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--idle-timeout" => {
                    let seconds = arguments.next().ok_or_else(|| usage("--idle-timeout needs a number of seconds"))?;
                    idle = seconds_of("--idle-timeout", seconds)?;
                }
                option if option.starts_with('-') => return Err(usage(&format!("there is no option {option}"))),
                path => socket = Some(path.into()),
            }
        }
        let socket = socket.ok_or_else(|| usage("no socket was named"))?;
        let mut server = match environment.get("CRSH_URL") {
            Some(url) => server_of_url(url, namespace)?,
            None => Server { origin: None, namespace: namespace.clone(), token: None },
        };
        let notes = read_attributes(environment, &mut server)?;
        Ok(Self { socket, idle, server, notes })
    }
}

fn usage(problem: &str) -> Error {
    Error::invalid("read arguments", problem).with_hint("usage: larder crsh SOCKET [--idle-timeout SECONDS]")
}

fn seconds_of(name: &str, text: &str) -> Result<Option<Duration>> {
    let seconds: u64 =
        text.parse().map_err(|_| usage(&format!("{name} is {text:?}, which is no number of seconds")))?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

/// The server that `larder://host:port/namespace` names; without a host, whichever the application is set to.
fn server_of_url(url: &str, namespace: &Namespace) -> Result<Server> {
    let invalid = |problem: &str| {
        Error::invalid("read CRSH_URL", problem)
            .with_hint("write remote_storage = larder://host:port/namespace, and a token as @token=...")
    };
    let uri: Uri = url.parse().map_err(|_| invalid("it is not a URL"))?;
    let authority = uri.authority().map(Authority::as_str).unwrap_or_default();
    if authority.contains('@') {
        return Err(invalid("a token does not belong into the URL"));
    }
    let origin = (!authority.is_empty()).then(|| (Scheme::HTTP, authority.parse().expect("it was parsed before")));
    let namespace = match uri.path().trim_matches('/') {
        "" => namespace.clone(),
        name => name.parse()?,
    };
    Ok(Server { origin, namespace, token: None })
}

/// Reads the attributes of the URL; what is said about those that mean nothing here.
fn read_attributes(environment: &BTreeMap<String, String>, server: &mut Server) -> Result<Vec<String>> {
    let count = environment.get("CRSH_NUM_ATTR").and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
    let mut notes = Vec::new();
    // A wrong count must not make this long: attributes end where there are no more.
    for at in 0..count {
        let Some(key) = environment.get(&format!("CRSH_ATTR_KEY_{at}")) else { break };
        let value = environment.get(&format!("CRSH_ATTR_VALUE_{at}")).map(String::as_str).unwrap_or_default();
        match (key.as_str(), value) {
            ("token" | "bearer-token", token) => {
                let header = format!("Bearer {token}").parse();
                server.token = Some(header.map_err(|_| {
                    Error::invalid("read attribute token", "it holds more than visible ASCII characters")
                })?);
            }
            ("tls", "true") => {
                if let Some((scheme, _)) = &mut server.origin {
                    *scheme = Scheme::HTTPS;
                }
            }
            ("tls", "false") => {}
            (key, _) => notes.push(format!("the attribute {key} means nothing to larder, or has a wrong value")),
        }
    }
    Ok(notes)
}

#[cfg(test)]
mod tests;
