//! Measures saving and restoring a real directory, with the other side in memory.
//!
//! `cargo run --release -p larder-tree --example measure -- TREE SCRATCH [THREADS [look|restore]]`
#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "an example is its own application: it has a clock, arguments and a terminal"
)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use larder_base::segment::{RECORD_HEADER_LEN, RecordHeader, SEGMENT_HEADER};
use larder_base::{Clock, ContentHash, Digest, Result, Timestamp};
use larder_tree::{
    CaptureLimits, Captured, Comparison, Memory, Plan, PlanLimits, Progress, Segment, Selection, Sink, Source, Survey,
    Target,
};

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The other side: keeps what is sent, or only counts it.
#[derive(Default)]
struct Shelf {
    records: Mutex<HashMap<ContentHash, (RecordHeader, Bytes)>>,
    is_counting: bool,
}

impl Sink for Shelf {
    fn missing(&self, chunks: &[Digest]) -> Result<Vec<ContentHash>> {
        let records = self.records.lock().expect("no thread panicked");
        Ok(chunks.iter().map(|chunk| chunk.hash).filter(|hash| !records.contains_key(hash)).collect())
    }

    fn send(&self, segment: Segment) -> Result<()> {
        if self.is_counting {
            return Ok(());
        }
        let mut rest = segment.body.slice(SEGMENT_HEADER.len()..);
        let mut records = self.records.lock().expect("no thread panicked");
        while !rest.is_empty() {
            let header = rest.split_to(RECORD_HEADER_LEN);
            let header = RecordHeader::decode(header[..].try_into().expect("a whole header"))?;
            let body = rest.split_to(header.stored_len as usize);
            records.insert(header.hash, (header, body));
        }
        Ok(())
    }
}

fn timed<T>(what: &str, bytes: u64, work: impl FnOnce() -> T) -> T {
    let (cpu, begin) = (cpu_seconds(), Instant::now());
    let made = work();
    let (wall, cpu) = (begin.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let megabytes = bytes as f64 / 1e6;
    println!(
        "{what:<34} {:>8.1} ms wall {:>8.1} ms cpu {:>8.0} MB/s wall {:>8.0} MB/s per cpu",
        wall * 1e3,
        cpu * 1e3,
        megabytes / wall,
        megabytes / cpu
    );
    made
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|size| size.parse::<u64>().ok()).unwrap_or(0) / 1000
}

fn survey(tree: &Path, memory: Memory, threads: usize) -> Survey<'static> {
    let source = Source { name: "work".into(), path: tree.to_owned(), selection: Selection::everything(), memory };
    Survey::take(vec![source], &SystemClock, threads, &Progress::new()).expect("the tree can be read")
}

fn save(tree: &Path, memory: Memory, threads: usize, shelf: &Shelf) -> Captured {
    let survey = survey(tree, memory, threads);
    survey.save(shelf, &CaptureLimits::new(threads), &Progress::new()).expect("memory does not fail")
}

fn restore(captured: &Captured, shelf: &Shelf, to: &Path, memory: Memory, threads: usize) -> Memory {
    let progress = Progress::new();
    let plan = Plan::read(captured.manifest.bytes.clone(), &PlanLimits::default()).expect("it was just written");
    let target = Target { name: "work".into(), path: to.to_owned(), memory };
    let comparison = Comparison::of(plan, vec![target], &SystemClock, threads, &progress).expect("it can be read");
    let materialiser = comparison.begin(&progress).expect("it can be written");
    let needed = materialiser.needed().to_vec();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let records = shelf.records.lock().expect("no thread panicked");
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(chunk) = needed.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let (header, body) = &records[&chunk.hash];
                    materialiser.push(header, body).expect("chunks are whole");
                }
            });
        }
    });
    let mut restored = materialiser.finish(&SystemClock).expect("it can be written");
    assert!(restored.is_complete(), "{:?} {:?}", restored.refusals, restored.incomplete);
    restored.memories.remove(0).1
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tree, scratch, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: measure TREE SCRATCH [THREADS [look|restore]]");
        return;
    };
    let (tree, scratch) = (PathBuf::from(tree), PathBuf::from(scratch));
    let threads = rest.first().and_then(|threads| threads.parse().ok()).unwrap_or(2);
    let counting = Shelf { is_counting: true, ..Shelf::default() };
    match rest.get(1).map(String::as_str) {
        Some("look") => return only_look(&tree, threads),
        Some("restore") => return only_restore(&tree, &scratch, threads),
        _ => {}
    }
    let first = save(&tree, Memory::new(), threads, &counting);
    println!("{} files, {} bytes, {} left out", first.files, first.bytes, first.omissions.len());
    println!("peak memory of a first save: {} MB; content held {}", peak_megabytes(), first.most_held_bytes);
    let shelf = Shelf::default();
    let captured = timed("first save", first.bytes, || save(&tree, Memory::new(), threads, &shelf));
    timed("look, nothing remembered", first.bytes, || {
        survey(&tree, Memory::new(), threads).look(&CaptureLimits::new(threads), &Progress::new()).expect("it is read");
    });
    let kept = scratch.join("memory");
    std::fs::create_dir_all(&scratch).expect("the scratch directory can be made");
    captured.memories[0].store(&kept).expect("the scratch directory can be written");
    for _ in 0..3 {
        timed("unchanged: load, walk, manifest", first.bytes, || {
            let survey = survey(&tree, Memory::load(&kept), threads);
            assert_eq!(survey.manifest().map(|manifest| manifest.digest), Some(captured.manifest.digest));
        });
    }
    timed("save, all known, other side has it", first.bytes, || save(&tree, Memory::load(&kept), threads, &shelf));
    let mut to = PathBuf::new();
    for round in 0..2 {
        // A fresh place each time: ext4 is slow to hand out inodes that were deleted a moment ago.
        to = scratch.join(format!("tree-{round}"));
        let memory =
            timed("restore to nothing", first.bytes, || restore(&captured, &shelf, &to, Memory::new(), threads));
        memory.store(&kept).expect("the scratch directory can be written");
    }
    timed("restore, all there, memory", first.bytes, || restore(&captured, &shelf, &to, Memory::load(&kept), threads));
    timed("restore, all there, no memory", first.bytes, || restore(&captured, &shelf, &to, Memory::new(), threads));
    println!("peak memory with all chunks of the other side: {} MB", peak_megabytes());
}

/// For a profiler: reading all without sending.
fn only_look(tree: &Path, threads: usize) {
    for _ in 0..5 {
        let mut survey = survey(tree, Memory::new(), threads);
        let progress = Progress::new();
        let look = || survey.look(&CaptureLimits::new(threads), &progress).expect("it is read");
        timed("look, nothing remembered", 1, look);
        println!("{} bytes read", progress.bytes_read.get());
    }
}

/// For a profiler: one save, then restores to nothing.
fn only_restore(tree: &Path, scratch: &Path, threads: usize) {
    let shelf = Shelf::default();
    let captured = save(tree, Memory::new(), threads, &shelf);
    for round in 0..3 {
        let to = scratch.join(format!("tree-{round}"));
        let memory =
            timed("restore to nothing", captured.bytes, || restore(&captured, &shelf, &to, Memory::new(), threads));
        for _ in 0..3 {
            timed("restore, all there, memory", captured.bytes, || {
                restore(&captured, &shelf, &to, memory.clone(), threads)
            });
        }
    }
}
