//! Repacking: what lives of a segment in the bucket that is half dead or more is written again at the end of the log, and
//! the rest goes with its object.
//!
//! A record is dead if no row speaks of it, or if it was not used for the retention time *and no entry needs it*. Time
//! alone does not do: a bucket with room keeps what it has for whoever comes next week. That no entry needs it does not
//! do either: what was put a moment ago waits for its entry.
//!
//! Which blobs the entries need is found by reading the entries, in steps, for a bounded number of blobs that are in
//! doubt. An entry that is put meanwhile is not missed: to put it uses all that it links to, and what is used is kept.
//! So a round counts for the retention time and no longer.
//!
//! The eviction of the segment does the work, after what is to be kept was counted as used; so there is one way by which
//! a segment ends, and one kind of crash in the middle of it.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use larder_base::segment::RecordKind;
use larder_base::{ContentHash, ErrorKind, Result, Timestamp};

use super::segment::{Plan, Scope, plan};
use crate::archive::Archive;
use crate::body::{Trailer, TrailerLine};
use crate::codec::Reader;
use crate::core::Core;
use crate::disk::OnDisk;
use crate::index::Table;
use crate::row::{BlobRow, EntryRow, ObjectState};
use crate::scan::read_trailer;
use crate::store::Store;

/// Segments whose tables are read in one step.
const SEGMENTS_A_STEP: usize = if cfg!(test) { 3 } else { 8 };
/// Links of entries that are looked at in one step, but for those of the last entry.
const LINKS_A_STEP: usize = if cfg!(test) { 5 } else { 1 << 15 };
/// Blobs that are in doubt at the same time, about 50 bytes each, but for those of the last segments looked at.
const DOUBTS_MAX: usize = if cfg!(test) { 40 } else { 1 << 19 };

/// What a step of repacking did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repacked {
    /// Segments repacked.
    pub segments: u64,
    /// Blobs and entries written again.
    pub kept: u64,
    /// Bytes of their objects that were not written again.
    pub bytes: u64,
    /// Every segment was looked at, or it is not the time for it; the next step begins anew.
    pub wrapped: bool,
}

impl Repacked {
    /// Adds what another step did; the end is that of the later one.
    pub fn add(&mut self, step: &Self) {
        self.segments += step.segments;
        self.kept += step.kept;
        self.bytes += step.bytes;
        self.wrapped = step.wrapped;
    }
}

/// A segment that may be half dead.
#[derive(Debug)]
struct Candidate {
    segment: u32,
    dead: u64,
}

/// A blob that was not used for long.
#[derive(Debug)]
struct Doubt {
    segment: u32,
    record_len: u64,
}

#[derive(Debug, Default)]
enum Stage {
    /// Segments are looked for that may be half dead.
    #[default]
    Looking,
    /// The entries beyond this key may need what is in doubt; they are read since this time.
    Reading { after: Vec<u8>, since: Timestamp },
    /// What is still in doubt is dead; the candidates are repacked, the one with the most dead bytes last.
    Packing { since: Timestamp },
}

/// What repacking remembers between steps.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    stage: Stage,
    /// The last segment that was looked at in this pass over all of them.
    looked: Option<u32>,
    candidates: Vec<Candidate>,
    doubts: HashMap<ContentHash, Doubt>,
    /// Segments that records were written to again, and when: for the retention time they are not repacked.
    packed: Vec<(RangeInclusive<u32>, Timestamp)>,
}

impl Progress {
    /// Ends a round; says whether it was the last of a pass.
    fn end_round(&mut self) -> bool {
        self.stage = Stage::Looking;
        self.candidates.clear();
        self.doubts = HashMap::new();
        self.looked.is_none()
    }

    fn is_fresh(&self, segment: u32) -> bool {
        self.packed.iter().any(|(range, _)| range.contains(&segment))
    }
}

impl Store {
    /// Does a bounded part of the repacking that is due: looks at some segments in the bucket, reads some entries, or writes
    /// again what lives of one segment. Call it again until [`Repacked::wrapped`]. Does nothing without a bucket, and
    /// nothing while one of the quotas is under pressure: then eviction decides what goes.
    ///
    /// # Errors
    /// Those of the bucket, the disk and the index; what was not done is done by a later pass.
    pub fn repack_step(&self) -> Result<Repacked> {
        let core = self.core();
        let idle = Repacked { wrapped: true, ..Repacked::default() };
        let Some(archive) = &core.archive else { return Ok(idle) };
        let mut progress = self.inner.repacking.lock();
        if !self.has_leisure(archive, 0) {
            progress.end_round();
            progress.looked = None;
            return Ok(idle);
        }
        let (now, retention) = (core.now(), core.options.retention);
        progress.packed.retain(|(_, time)| now.since(*time) < retention);
        match std::mem::take(&mut progress.stage) {
            Stage::Looking => {
                progress.stage = self.look(archive, &mut progress)?;
                Ok(Repacked::default())
            }
            Stage::Reading { after, since } => {
                progress.stage = self.read_entries(after, since, &mut progress)?;
                Ok(Repacked::default())
            }
            Stage::Packing { since } if now.since(since) < retention && since <= now => {
                let Some(candidate) = progress.candidates.pop() else {
                    return Ok(Repacked { wrapped: progress.end_round(), ..Repacked::default() });
                };
                progress.stage = Stage::Packing { since };
                self.repack(archive, candidate.segment, &mut progress)
            }
            // It took so long that entries came meanwhile whose links are not in use any more.
            Stage::Packing { .. } => Ok(Repacked { wrapped: progress.end_round(), ..Repacked::default() }),
        }
    }

    /// Whether so many bytes may be written again without bringing a quota to its high water.
    fn has_leisure(&self, archive: &Archive, bytes: u64) -> bool {
        let usage = &self.core().usage;
        let evicting = self.inner.evicting.lock();
        let has_room = |used: u64, quota: u64| used.saturating_add(bytes) <= quota - quota / 20;
        let (stored, other) = archive.bytes();
        !evicting.draining
            && !evicting.draining_bucket
            && has_room(usage.used(), usage.quota.load(Ordering::Relaxed))
            && has_room(stored + other, archive.quota.load(Ordering::Relaxed))
    }

    /// Looks at the next segments.
    fn look(&self, archive: &Archive, progress: &mut Progress) -> Result<Stage> {
        let core = self.core();
        let beyond = progress.looked.map_or(0, |looked| looked + 1);
        let mut next = archive.segments(ObjectState::Stored).into_iter().filter(|segment| *segment >= beyond);
        for segment in next.by_ref().take(SEGMENTS_A_STEP) {
            progress.looked = Some(segment);
            if progress.is_fresh(segment) || !core.heat.may_freeze(segment, core.now()) {
                continue;
            }
            let Some((trailer, length, plan)) = self.plan_of(segment)? else { continue };
            let doubtful =
                |(hash, ordinal): &(ContentHash, u32)| (*hash, trailer.lines[*ordinal as usize].record_len());
            let doubtful: Vec<(ContentHash, u64)> = plan.drop.iter().map(doubtful).collect();
            let in_doubt: u64 = doubtful.iter().map(|(_, record_len)| record_len).sum();
            let dead = dead_bytes(&trailer, &plan, |_| true) - in_doubt;
            if is_half(dead + in_doubt, length) {
                progress.candidates.push(Candidate { segment, dead });
                let doubts = doubtful.into_iter().map(|(hash, record_len)| (hash, Doubt { segment, record_len }));
                progress.doubts.extend(doubts);
            }
        }
        match next.next() {
            Some(_) if progress.doubts.len() < DOUBTS_MAX => return Ok(Stage::Looking),
            Some(_) => {}
            None => progress.looked = None,
        }
        Ok(Stage::Reading { after: Vec::new(), since: core.now() })
    }

    /// Takes from what is in doubt all that the next entries need.
    fn read_entries(&self, mut after: Vec<u8>, since: Timestamp, progress: &mut Progress) -> Result<Stage> {
        let core = self.core();
        let mut entries: Vec<(Vec<u8>, ContentHash)> = Vec::new();
        let mut links = 0;
        if !progress.doubts.is_empty() {
            let from = after.clone();
            core.index.scan_after(Table::Entries, &from, |key, row| {
                let row = EntryRow::decode(row)?;
                links += 1 + row.links as usize;
                after = key.to_vec();
                if core.heat.is_alive(row.segment, row.ordinal) {
                    entries.push((key.to_vec(), row.blob.hash));
                }
                Ok(links < LINKS_A_STEP)
            })?;
        }
        let is_last = links < LINKS_A_STEP;
        for (key, value) in entries {
            settle(core, &mut progress.doubts, &value)?;
            // An entry that went meanwhile has none.
            let row = core.index.get(Table::Links, &key)?.unwrap_or_default();
            let mut reader = Reader::new(&row, "row of table links");
            while reader.remaining() > 0 {
                settle(core, &mut progress.doubts, &reader.hash()?)?;
            }
        }
        if !is_last {
            return Ok(Stage::Reading { after, since });
        }
        let mut dead: HashMap<u32, u64> = HashMap::new();
        for doubt in progress.doubts.values() {
            *dead.entry(doubt.segment).or_default() += doubt.record_len;
        }
        for candidate in &mut progress.candidates {
            candidate.dead += dead.get(&candidate.segment).copied().unwrap_or_default();
        }
        progress.candidates.sort_by_key(|candidate| candidate.dead);
        Ok(Stage::Packing { since })
    }

    /// Writes again what lives of a segment and drops it, if it is half dead still.
    fn repack(&self, archive: &Archive, segment: u32, progress: &mut Progress) -> Result<Repacked> {
        let (core, now) = (self.core(), self.core().now());
        let Some((trailer, length, plan)) = self.plan_of(segment)? else { return Ok(Repacked::default()) };
        let Some(object) = archive.stored(segment) else { return Ok(Repacked::default()) };
        let is_dead = |hash: &ContentHash| progress.doubts.get(hash).is_some_and(|doubt| doubt.segment == segment);
        let dead = dead_bytes(&trailer, &plan, is_dead);
        let lives = length - dead;
        if !is_half(dead, length) || !self.has_leisure(archive, lives) || !core.heat.may_freeze(segment, now) {
            return Ok(Repacked::default());
        }
        let blobs = plan.drop.iter().filter(|(hash, _)| !is_dead(hash)).map(|(_, ordinal)| *ordinal);
        for ordinal in blobs.chain(plan.drop_entries.iter().map(|(_, ordinal, _)| *ordinal)) {
            core.heat.written(segment, ordinal..ordinal + 1, now);
        }
        let end_of_log = || core.active.read().as_ref().map(|(id, _)| *id);
        let begin = end_of_log();
        let mut evicting = self.inner.evicting.lock();
        let evicted = self.evicting(&mut evicting, |evicting, evicted| {
            match self.evict_segment(segment, evicted) {
                Ok(dropped) => evicting.dropped.extend(dropped.map(|length| (segment, length))),
                // The disk filled up meanwhile; what was written again stays where it is.
                Err(error) if error.kind() == ErrorKind::Full => {}
                Err(error) => return Err(error),
            }
            Ok(())
        });
        drop(evicting);
        if let (Some(begin), Some(end)) = (begin, end_of_log()) {
            progress.packed.push((begin..=end, now));
        }
        let evicted = evicted?;
        if evicted.segments == 0 {
            return Ok(Repacked::default());
        }
        let bytes = object.length.saturating_sub(lives);
        archive.counts.repacked.fetch_add(1, Ordering::Relaxed);
        archive.counts.repacked_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.delete_doomed_soon();
        Ok(Repacked { segments: 1, kept: evicted.kept, bytes, wrapped: false })
    }

    /// The table of a segment, its bytes, and what an eviction would make of it now; `None` when it has none.
    fn plan_of(&self, segment: u32) -> Result<Option<(Trailer, u64, Plan)>> {
        let core = self.core();
        let path = core.files.path(segment);
        let Some(file) = core.segment_file(segment)? else { return Ok(None) };
        let length = file.size().at("measure segment", &path)?;
        let Some((_, trailer)) = read_trailer(&*file, length).at("read segment", &path)? else { return Ok(None) };
        let plan = plan(core, &*file, segment, &trailer, false, Scope::All)?;
        Ok(Some((trailer, length, plan)))
    }
}

/// Takes a blob that an entry needs, and the chunks that it is made of, from what is in doubt.
fn settle(core: &Arc<Core>, doubts: &mut HashMap<ContentHash, Doubt>, hash: &ContentHash) -> Result<()> {
    doubts.remove(hash);
    let Some(row) = core.index.get(Table::Blobs, &hash.to_key())? else { return Ok(()) };
    let row = BlobRow::decode(&row)?;
    if row.kind == RecordKind::Recipe
        && let Some(recipe) = core.recipe(hash, &row)?
    {
        for (chunk, _) in &recipe.chunks {
            doubts.remove(chunk);
        }
    }
    Ok(())
}

/// Bytes of the records that no row speaks of, and of the blobs not in use that `is_dead`. Records of the log's own count
/// as living: they are small, and some are written again.
fn dead_bytes(trailer: &Trailer, plan: &Plan, is_dead: impl Fn(&ContentHash) -> bool) -> u64 {
    let len = |ordinal: u32| trailer.lines[ordinal as usize].record_len();
    let content = [RecordKind::Chunk, RecordKind::Recipe, RecordKind::Entry];
    let all = trailer.lines.iter().filter(|line| content.contains(&line.kind)).map(TrailerLine::record_len);
    let blobs = plan.drop.iter().filter(|(hash, _)| !is_dead(hash)).map(|(_, ordinal)| len(*ordinal));
    let entries = plan.drop_entries.iter().map(|(_, ordinal, _)| len(*ordinal));
    all.sum::<u64>() - plan.keep_bytes - blobs.chain(entries).sum::<u64>()
}

fn is_half(dead: u64, length: u64) -> bool {
    dead >= length - length / 2
}
