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
use crate::commands::fetch::{fetch, fetch_manifest};
use crate::config::ByteSize;
use crate::context::Context;
use crate::exit::Exit;

/// Runs the command.
pub fn run(context: &Context, options: &cli::Show) -> Result<Exit> {
    let key: Key = options.key.parse()?;
    let client = context.ci()?;
    let runtime = &context.runtime;
    let found = match runtime.block_on(client.lookup(&key, &[], Purpose::Check))? {
        Lookup::Hit(found) => found,
        Lookup::Miss(reason) => {
            if context.global.json {
                println!("{}", json!({"key": key.as_str(), "good": false, "reason": reason}));
            } else {
                eprintln!("larder: nothing is saved under {key} ({reason})");
            }
            return Ok(Exit::Success);
        }
    };
    let moved = AtomicU64::new(0);
    let manifest = runtime.block_on(fetch_manifest(&client, &found, &moved))?;
    let plan = Plan::read(manifest, &PlanLimits::default())?;
    let chunks: Vec<ContentHash> = plan.chunks().iter().map(|chunk| chunk.hash).collect();
    let left = Mutex::new(chunks.iter().copied().collect::<HashSet<_>>());
    runtime.block_on(fetch(&client, &chunks, &moved, |record| {
        // A bad chunk stays among those that are left; the others are still looked at.
        if record.header.open_chunk(&record.body).is_ok() {
            left.lock().remove(&record.header.hash);
        }
        Ok(())
    }))?;
    let bad = left.into_inner().len();
    let (files, moved) = (plan.files(), moved.load(Ordering::Relaxed));
    if context.global.json {
        println!(
            "{}",
            json!({"key": key.as_str(), "good": bad == 0, "files": files, "chunks": chunks.len(), "bad_chunks": bad})
        );
    } else if bad == 0 {
        println!("{key} is good: {files} files, {} chunks, {} checked", chunks.len(), ByteSize(moved));
    } else {
        println!("{key} is damaged: {bad} of {} chunks; purge it and save it again", chunks.len());
    }
    Ok(if bad == 0 { Exit::Success } else { Exit::Found })
}
