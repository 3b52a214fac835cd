//! `larder token`: tokens given out, listed and taken back, by a running server or in a data directory that none uses.

use std::path::Path;

use larder_base::{Clock, Error, ErrorKind, Result, Timestamp};
use larder_cache::{IssuedTokens, NamespacePattern};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cli::{self, TokenCommand};
use crate::clock::SystemClock;
use crate::context::Context;
use crate::exit::Exit;
use crate::terminal::{out, say};
use crate::tokens::{NewToken, TokenFile, TokenLine, TokenRequest, random};
use crate::words::ago;

/// Runs the command. It says so when it cannot be done, whatever the flags: nobody's build waits for it.
pub fn run(context: &Context, command: &TokenCommand) -> Result<Exit> {
    match command {
        TokenCommand::Create(options) => create(context, options),
        TokenCommand::List { place } => list(context, place.data.as_deref()),
        TokenCommand::Revoke { id, place } => revoke(context, id, place.data.as_deref()),
    }
}

fn create(context: &Context, options: &cli::NewToken) -> Result<Exit> {
    // It may be a pattern, which is no namespace.
    let namespaces = match context.global.namespace.as_deref().filter(|name| !name.is_empty()) {
        Some(namespaces) => namespaces.to_owned(),
        None => context.namespace()?.to_string(),
    };
    let request = TokenRequest {
        name: options.name.clone(),
        namespaces,
        read: options.read.clone(),
        write: options.write.clone(),
        admin: options.admin,
        expires_in_ms: options.expires.map(|span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX)),
    };
    let new: NewToken = match &options.place.data {
        Some(data) => offline(data, |file| file.create(&request, random()?, SystemClock.now()))?,
        None => read(context.runtime.block_on(context.server()?.create_token(&json!(request)))?)?,
    };
    if context.global.json {
        out!("{}", json!(new));
        return Ok(Exit::Success);
    }
    out!("{}", new.token);
    if !context.global.quiet {
        say!("{}", describe(context, &new.line));
        say!("this token is not shown again; `larder token revoke {}` takes it back", new.line.id);
    }
    Ok(Exit::Success)
}

fn list(context: &Context, data: Option<&Path>) -> Result<Exit> {
    let tokens: Vec<TokenLine> = match data {
        Some(data) => offline(data, |file| Ok(file.list(&everything())))?,
        None => read(context.runtime.block_on(context.server()?.tokens())?["tokens"].take())?,
    };
    if context.global.json {
        out!("{}", json!({ "tokens": tokens }));
        return Ok(Exit::Success);
    }
    for token in &tokens {
        out!("{}", describe(context, token));
    }
    if tokens.is_empty() && !context.global.quiet {
        say!("no token is given out");
    }
    Ok(Exit::Success)
}

fn revoke(context: &Context, id: &str, data: Option<&Path>) -> Result<Exit> {
    let line: TokenLine = match data {
        Some(data) => offline(data, |file| {
            let revoked = file.revoke(id, &everything())?;
            revoked.ok_or_else(|| Error::invalid("revoke token", format!("there is no token {id:?}")))
        })?,
        None => read(context.runtime.block_on(context.server()?.revoke_token(id))?)?,
    };
    if context.global.json {
        out!("{}", json!(line));
    } else if !context.global.quiet {
        say!("revoked {}", describe(context, &line));
    }
    Ok(Exit::Success)
}

/// Works on the tokens of a data directory, which no server may use meanwhile.
fn offline<T>(data: &Path, work: impl FnOnce(&TokenFile) -> Result<T>) -> Result<T> {
    std::fs::create_dir_all(data).map_err(|error| {
        Error::new(ErrorKind::Failed, "make data directory", data.display().to_string()).with_source(error)
    })?;
    let _lock = larder_store::lock(data)?;
    work(&TokenFile::open(data, &[], IssuedTokens::default())?)
}

fn everything() -> Vec<NamespacePattern> {
    vec!["*".parse().expect("the pattern of everything is one")]
}

fn read<T: DeserializeOwned>(answer: Value) -> Result<T> {
    serde_json::from_value(answer).map_err(|error| {
        Error::new(ErrorKind::Failed, "read answer", "the server answered what this Larder does not know")
            .with_source(error)
    })
}

fn describe(context: &Context, token: &TokenLine) -> String {
    let now = context.now();
    let write = token.write.as_ref().map_or("writes nothing".to_owned(), |scope| format!("writes {scope}"));
    let admin = if token.admin { ", administrator" } else { "" };
    let ends = match token.expires_ms {
        None => String::new(),
        Some(at) if Timestamp::from_millis(at) < now => ", expired".to_owned(),
        Some(at) => format!(", good for {}", span(Timestamp::from_millis(at).since(now).as_secs())),
    };
    let created = ago(now, Timestamp::from_millis(token.created_ms));
    format!(
        "{}  {} in {}: reads {}, {write}{admin}; given out {created}{ends}",
        token.id,
        token.name,
        token.namespaces,
        token.read.join(", ")
    )
}

fn span(seconds: u64) -> String {
    match seconds {
        0..7200 => format!("{} more minutes", seconds.div_ceil(60)),
        7200..172_800 => format!("{} more hours", seconds.div_ceil(3600)),
        _ => format!("{} more days", seconds.div_ceil(86_400)),
    }
}
