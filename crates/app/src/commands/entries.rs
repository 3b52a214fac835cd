//! `larder list`, `show`, `purge` and `explain`: what is saved, as the ci door knows it.

use larder_base::{Key, Result, Scope};
use larder_proto::ci::{ExplainAnswer, ListedEntry, Match, PurgeAnswer};
use larder_remote::ci::{CiClient, EntryFilter};
use serde_json::json;

use crate::cli;
use crate::config::ByteSize;
use crate::context::Context;
use crate::exit::Exit;
use crate::terminal::{out, say};
use crate::time::ago;

/// Lists entries.
pub fn list(context: &Context, options: &cli::List) -> Result<Exit> {
    let filter = EntryFilter { prefix: options.prefix.clone(), scope: scope(options.scope.as_deref())? };
    let entries = context.runtime.block_on(all_pages(&context.ci()?, &filter, options.limit))?;
    if context.global.json {
        out!("{}", json!({ "entries": entries }));
        return Ok(Exit::Success);
    }
    for entry in &entries {
        out!("{}", line(context, entry));
    }
    if entries.is_empty() && !context.global.quiet {
        say!("nothing is saved in namespace {} under that prefix", context.namespace()?);
    }
    Ok(Exit::Success)
}

async fn all_pages(client: &CiClient, filter: &EntryFilter, limit: usize) -> Result<Vec<ListedEntry>> {
    let mut entries = Vec::new();
    let mut after = None;
    while entries.len() < limit {
        let room = u32::try_from(limit - entries.len()).unwrap_or(u32::MAX).min(larder_proto::ci::PAGE_MAX);
        let page = client.list(filter, after.as_deref(), room).await?;
        entries.extend(page.entries);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    entries.truncate(limit);
    Ok(entries)
}

/// Shows one entry.
pub fn show(context: &Context, options: &cli::Show) -> Result<Exit> {
    let key: Key = options.key.parse()?;
    let found = context.runtime.block_on(context.ci()?.show(&key))?;
    match (found, context.global.json) {
        (Some(found), true) => out!(
            "{}",
            json!({
                "key": found.key.as_str(), "scope": found.scope.to_string(), "content": found.content.to_hex(),
                "manifest": found.manifest.digest.hash.to_hex(), "files": found.files, "bytes": found.bytes,
                "created_ms": found.created.as_millis(), "writer": found.writer,
            })
        ),
        (Some(found), false) => {
            out!("key      {}", found.key);
            out!("scope    {}", found.scope);
            out!("files    {}", found.files);
            out!("size     {}", ByteSize(found.bytes));
            out!("saved    {} by {}", ago(context.now(), found.created), found.writer);
            out!("content  {}", found.content);
        }
        (None, true) => out!("{}", json!(null)),
        (None, false) => say!("nothing is saved under {key}; `larder explain {key}` says what is near"),
    }
    Ok(Exit::Success)
}

/// Removes entries.
pub fn purge(context: &Context, options: &cli::Purge) -> Result<Exit> {
    let scope = scope(options.scope.as_deref())?;
    let client = context.ci()?;
    let removed = if options.prefix {
        let filter = EntryFilter { prefix: options.key.clone(), scope };
        context.runtime.block_on(purge_all(&client, &filter, options.dry_run))?
    } else {
        context.runtime.block_on(client.purge(&options.key.parse()?, scope.as_ref(), options.dry_run))?
    };
    if context.global.json {
        out!("{}", json!(removed));
        return Ok(Exit::Success);
    }
    let verb = if removed.dry_run { "would remove" } else { "removed" };
    for entry in &removed.entries {
        out!("{verb} {}", line(context, entry));
    }
    if !context.global.quiet {
        say!("{verb} {} entries; their space is freed as segments are evicted", removed.entries.len());
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
    let created = larder_base::Timestamp::from_millis(entry.created_ms);
    format!(
        "{}  {}, {} files, {}, saved {} by {}",
        entry.key,
        entry.scope,
        entry.files,
        ByteSize(entry.bytes),
        ago(context.now(), created),
        entry.writer
    )
}

fn scope(text: Option<&str>) -> Result<Option<Scope>> {
    Ok(text.map(str::parse).transpose()?)
}
