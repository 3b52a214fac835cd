//! `larder verify`: every byte of an entry fetched and checked, nothing written.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_base::{ContentHash, Key, Result};
use larder_proto::ci::Purpose;
use larder_remote::ci::Lookup;
use larder_tree::{Plan, PlanLimits};
use parking_lot::Mutex;
use serde_json::json;

use crate::cli;
use crate::commands::fetch::{fetch, fetch_manifest, until_settled};
use crate::config::ByteSize;
use crate::context::Context;
use crate::exit::Exit;
use crate::terminal::{out, say};
use crate::words::counted;

/// Runs the command.
pub fn run(context: &Context, options: &cli::Show) -> Result<Exit> {
    let key: Key = options.key.parse()?;
    let client = context.ci()?;
    let runtime = &context.runtime;
    let found = match runtime.block_on(client.lookup(&key, &[], Purpose::Check))? {
        Lookup::Hit(found) => found,
        Lookup::Miss(reason) => {
            if context.global.json {
                out!("{}", json!({"key": key.as_str(), "good": false, "reason": reason}));
            } else {
                say!("nothing is saved under {key} ({reason})");
            }
            return Ok(Exit::Success);
        }
    };
    let moved = AtomicU64::new(0);
    let manifest = runtime.block_on(fetch_manifest(&client, &found, &moved))?;
    let plan = Plan::read(manifest, &PlanLimits::default())?;
    let chunks: Vec<ContentHash> = plan.chunks().iter().map(|chunk| chunk.hash).collect();
    let bad = until_settled(chunks.clone(), |needed| {
        let left = Mutex::new(needed.iter().copied().collect::<HashSet<_>>());
        runtime.block_on(fetch(&client, needed, &moved, |record| {
            // A bad chunk stays among those that are left; the others are still looked at.
            if record.header.open_chunk(&record.body).is_ok() {
                left.lock().remove(&record.header.hash);
            }
            Ok(())
        }))?;
        Ok(left.into_inner().into_iter().collect())
    })?
    .len();
    let (files, moved) = (found.files, moved.load(Ordering::Relaxed));
    if context.global.json {
        out!(
            "{}",
            json!({"key": key.as_str(), "good": bad == 0, "files": files, "chunks": chunks.len(), "bad_chunks": bad})
        );
    } else if bad == 0 {
        let (files, chunks) = (counted(files, "file"), counted(chunks.len() as u64, "chunk"));
        out!("{key} is good: {files}, {chunks}, {} checked", ByteSize(moved));
    } else {
        out!("{key} is damaged: {bad} of {}; purge it and save it again", counted(chunks.len() as u64, "chunk"));
    }
    Ok(if bad == 0 { Exit::Success } else { Exit::Found })
}
