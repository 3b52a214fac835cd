//! `larder fsck`: a data directory that no server uses, checked or given a new index.

use std::collections::BTreeMap;
use std::sync::Arc;

use larder_base::Result;
use larder_store::{Options, fsck};
use serde_json::json;

use crate::cli;
use crate::clock::SystemClock;
use crate::compose::data_directory;
use crate::config::ByteSize;
use crate::exit::Exit;
use crate::terminal::out;
use crate::words::counted;

/// Runs the command.
pub fn run(options: &cli::Fsck, as_json: bool, environment: &BTreeMap<String, String>) -> Result<Exit> {
    let asked = options.data.clone().or_else(|| environment.get("LARDER_DATA").map(Into::into));
    let data = data_directory(asked.as_deref(), environment)?;
    if options.rebuild {
        // A quota is for a server that writes; a rebuild drops nothing.
        let recovery = fsck::rebuild(Options::new(&data, u64::MAX), Arc::new(SystemClock))?;
        if as_json {
            out!("{}", json!({"records": recovery.replayed_records, "damaged": recovery.damaged_records}));
        } else {
            out!(
                "{}: the index is new: {} read, {} damaged and left out",
                data.display(),
                counted(recovery.replayed_records, "record"),
                recovery.damaged_records
            );
        }
        return Ok(if recovery.damaged_records == 0 { Exit::Success } else { Exit::Found });
    }
    let report = fsck::check(&data)?;
    if as_json {
        out!(
            "{}",
            json!({
                "sound": report.is_sound(), "segments": report.segments, "records": report.records,
                "bytes": report.bytes, "bad_records": report.bad_records, "dangling_rows": report.dangling_rows,
                "stale_rows": report.stale_rows, "index_damaged": report.index_damaged,
                "tail_bytes": report.tail_bytes, "problems": report.problems,
            })
        );
    } else {
        for problem in &report.problems {
            out!("{problem}");
        }
        let (segments, records) = (counted(report.segments, "segment"), counted(report.records, "record"));
        out!("{}: {segments}, {records}, {} read", data.display(), ByteSize(report.bytes));
        if report.index_damaged {
            out!(
                "a part of the index is damaged; the next start makes it anew from the segments, as `larder fsck --rebuild` does now"
            );
        }
        match (report.bad_records, report.dangling_rows) {
            _ if report.index_damaged && report.bad_records == 0 => {}
            (0, 0) => out!("sound"),
            (bad, rows) => out!(
                "{} and {} of the index without one; each is answered as absent. \
                 `larder fsck --rebuild` makes an index without them",
                counted(bad, "bad record"),
                counted(rows, "row")
            ),
        }
    }
    Ok(if report.is_sound() { Exit::Success } else { Exit::Found })
}
