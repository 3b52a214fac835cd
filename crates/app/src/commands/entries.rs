//! `larder list`, `show`, `purge` and `explain`: what is saved, as the ci door knows it.

use larder_base::{Error, Key, Result, Scope, Timestamp};
use larder_proto::ci::{EntryReader, ExplainAnswer, ListedEntry, Match, PurgeAnswer};
use larder_remote::ci::{CiClient, EntryFilter, Shown};
use serde_json::json;

use crate::cli;
use crate::config::ByteSize;
use crate::context::Context;
use crate::exit::Exit;
use crate::terminal::{out, say};
use crate::words::{ago, counted};

/// Lists entries.
pub fn list(context: &Context, options: &cli::List) -> Result<Exit> {
    let mut filter = filter(&options.prefix, options.scope.as_deref(), &options.picked)?;
    filter.reader.clone_from(&options.reader);
    let (entries, next) = context.runtime.block_on(all_pages(&context.ci()?, &filter, options))?;
    if context.global.json {
        out!("{}", json!({ "entries": entries, "next": next }));
        return Ok(Exit::Success);
    }
    for entry in &entries {
        out!("{}", line(context, entry));
    }
    if !context.global.quiet {
        match next {
            Some(next) => say!("there may be more: --after {next}"),
            None if entries.is_empty() => say!("nothing like that is saved in namespace {}", context.namespace()?),
            None => {}
        }
    }
    Ok(Exit::Success)
}

/// Entries up to the limit, and where to go on.
async fn all_pages(
    client: &CiClient,
    filter: &EntryFilter,
    options: &cli::List,
) -> Result<(Vec<ListedEntry>, Option<String>)> {
    let mut entries = Vec::new();
    let mut after = options.after.clone();
    let limit = options.limit as usize;
    while entries.len() < limit {
        let room = u32::try_from(limit - entries.len()).unwrap_or(u32::MAX).min(larder_proto::ci::PAGE_MAX);
        let page = client.list(filter, after.as_deref(), room).await?;
        entries.extend(page.entries);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok((entries, after))
}

/// Shows one entry.
pub fn show(context: &Context, options: &cli::ShowEntry) -> Result<Exit> {
    let key: Key = options.entry.key.parse()?;
    let scope = scope(options.scope.as_deref())?;
    let shown = context.runtime.block_on(context.ci()?.show(&key, scope.as_ref()))?;
    match (shown, context.global.json) {
        (Some(Shown { found, readers }), true) => out!(
            "{}",
            json!({
                "key": found.key.as_str(), "scope": found.scope.to_string(), "content": found.content.to_hex(),
                "manifest": found.manifest.digest.hash.to_hex(), "files": found.files, "bytes": found.bytes,
                "created_ms": found.created.as_millis(), "restored_ms": found.restored.as_millis(), "writer": found.writer,
                "readers": readers,
            })
        ),
        (Some(Shown { found, readers }), false) => {
            out!("key      {}", found.key);
            out!("scope    {}", found.scope);
            out!("files    {}", found.files);
            out!("size     {}", ByteSize(found.bytes));
            out!(
                "saved    {} by {}, {}",
                ago(context.now(), found.created),
                found.writer,
                restored(context, found.created, found.restored)
            );
            for EntryReader { reader, last_ms, restores } in readers {
                let last = ago(context.now(), Timestamp::from_millis(last_ms));
                let times = if restores == 1 { "once".to_owned() } else { format!("{restores} times") };
                out!("read by  {reader}, {times}, last {last}");
            }
            out!("content  {}", found.content);
        }
        (None, true) => out!("{}", json!(null)),
        (None, false) => say!("nothing is saved under {key}; `larder explain {key}` says what is near"),
    }
    Ok(Exit::Success)
}

/// Removes entries.
pub fn purge(context: &Context, options: &cli::Purge) -> Result<Exit> {
    let client = context.ci()?;
    let key = options.key.as_deref();
    let filter = filter(key.unwrap_or(""), options.scope.as_deref(), &options.picked)?;
    let picks = filter.writer.is_some() || filter.older_than.is_some();
    let removed = match key {
        Some(key) if !options.prefix && picks => {
            let message = format!("{key} is one entry, which no flag need pick");
            return Err(Error::invalid("purge entries", message).with_hint("with --prefix it is how the keys begin"));
        }
        Some(key) if !options.prefix => {
            context.runtime.block_on(client.purge(&key.parse()?, filter.scope.as_ref(), options.dry_run))?
        }
        _ => context.runtime.block_on(purge_all(&client, &filter, options.dry_run))?,
    };
    if context.global.json {
        out!("{}", json!(removed));
        return Ok(Exit::Success);
    }
    let verb = if removed.dry_run { "would remove" } else { "removed" };
    for entry in &removed.entries {
        out!("{verb} {}", line(context, entry));
    }
    match key {
        _ if context.global.quiet => {}
        Some(key) if removed.entries.is_empty() && !options.prefix => {
            let scope = filter.scope.as_ref().map_or_else(String::new, |scope| format!(" in scope {scope}"));
            say!("nothing is saved under {key}{scope}; `larder explain {key}` says what is near");
        }
        _ if removed.entries.is_empty() => say!("nothing like that is saved in namespace {}", context.namespace()?),
        _ => {
            let count = counted(removed.entries.len() as u64, "entry");
            say!("{verb} {count}; the space is freed as segments are evicted");
        }
    }
    Ok(Exit::Success)
}

async fn purge_all(client: &CiClient, filter: &EntryFilter, dry_run: bool) -> Result<PurgeAnswer> {
    let mut all = PurgeAnswer { dry_run, ..PurgeAnswer::default() };
    let mut after = None;
    loop {
        let answer = client.purge_all(filter, after.as_deref(), dry_run).await?;
        all.entries.extend(answer.entries);
        after = answer.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

/// Says why a restore would hit or miss.
pub fn explain(context: &Context, options: &cli::Explain) -> Result<Exit> {
    let key: Key = options.key.parse()?;
    let answer = context.runtime.block_on(context.ci()?.explain(&key, &options.fallback))?;
    if context.global.json {
        out!("{}", json!(answer));
    } else {
        out!("{}", explanation(context, &answer).trim_end());
    }
    Ok(Exit::Success)
}

fn explanation(context: &Context, answer: &ExplainAnswer) -> String {
    let mut text = format!("scopes looked through: {}\n", answer.scopes.join(", "));
    if let Some(scope) = &answer.writes {
        text += &format!("scope that saves go to: {scope}\n");
    }
    for step in &answer.steps {
        let how = match step.how {
            Match::Exact => "the key",
            Match::Prefix => "the newest that begins with",
        };
        text += &match (&step.found, &step.miss) {
            (Some(found), _) => format!("hit:  {how} {}: {}\n", step.tried, line(context, found)),
            (None, miss) => {
                let why = miss.as_ref().map_or("nothing there", |miss| &miss.reason);
                format!("miss: {how} {}: {why}\n", step.tried)
            }
        };
    }
    for near in &answer.near {
        text += &format!("near: {}: {}\n", line(context, &near.entry), near.why);
    }
    text
}

fn line(context: &Context, entry: &ListedEntry) -> String {
    let created = Timestamp::from_millis(entry.created_ms);
    format!(
        "{}  {}, {}, {}, saved {} by {}, {}",
        entry.key,
        entry.scope,
        counted(entry.files, "file"),
        ByteSize(entry.bytes),
        ago(context.now(), created),
        entry.writer,
        restored(context, created, Timestamp::from_millis(entry.restored_ms)),
    )
}

fn restored(context: &Context, created: Timestamp, restored: Timestamp) -> String {
    if restored > created { format!("restored {}", ago(context.now(), restored)) } else { "never restored".to_owned() }
}

fn filter(prefix: &str, of: Option<&str>, picked: &cli::Picked) -> Result<EntryFilter> {
    Ok(EntryFilter {
        prefix: prefix.to_owned(),
        scope: scope(of)?,
        writer: picked.writer.clone(),
        reader: None,
        older_than: picked.older_than.map(|span| span.0),
    })
}

fn scope(text: Option<&str>) -> Result<Option<Scope>> {
    Ok(text.map(str::parse).transpose()?)
}
