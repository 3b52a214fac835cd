//! Measures a store on the disk at hand, and proves its bounds at full size.
//!
//! ```text
//! cargo run --release -p larder-store --example measure -- DIR COMMAND
//!   puts          durable 4 KiB puts a second by 32 threads, then by 1
//!   service       the same through the async service, by 256 tasks
//!   gets          warm 4 KiB gets a second a thread, straight and through the service
//!   adopt         MB/s of adopting 64 MiB parts of 4 KiB and of 512 KiB chunks
//!   open N        time to open N chunks after a kill
//!   evict N       microseconds a blob of evicting N blobs of 4 KiB
//!   scale N       resident memory with N chunks (10000000: at most 300 MB beyond the page cache)
//!   fixture       a small store with records of every kind, as in tests/formats/<version>
//!   large GIB     one blob of so many GiB, in and out again (memory stays constant)
//! ```
//!
//! DIR is made and must not exist.
#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that measures for people"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use larder_base::segment::{Record, SEGMENT_HEADER};
use larder_base::{
    Blobs as _, ByteRange, Clock, ContentHash, Digest, DoorName, EntryAddress, EntryBody, Namespace, NewEntry,
    PartName, PutIf, Result, Timestamp, UploadId, collect, stream_of,
};
use larder_store::{Options, Store, StoreService};

struct SystemClock(AtomicU64);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_millis(since.as_millis() as u64 + self.0.load(Ordering::Relaxed))
    }
}

/// Bytes that do not compress, different for every number.
fn noise(number: u64, len: usize) -> Bytes {
    let mut state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

fn ns() -> Namespace {
    "measure".parse().unwrap()
}

fn open(dir: &Path) -> (Store, Arc<SystemClock>) {
    let clock = Arc::new(SystemClock(AtomicU64::new(0)));
    (Store::open(Options::new(dir, 1 << 40), clock.clone()).unwrap(), clock)
}

fn put(store: &Store, content: Bytes) -> Digest {
    let hash = ContentHash::of(&content);
    store.put(&ns(), Some(&hash), None, &mut std::iter::once(Ok(content))).unwrap()
}

fn part(number: u32) -> PartName {
    PartName { upload: UploadId::from_random([1; 16]), number }
}

/// The body of a part of so many chunks.
fn part_body(first: u64, chunks: u64, len: usize) -> Bytes {
    let mut body = SEGMENT_HEADER.to_vec();
    for number in first..first + chunks {
        let content = noise(number, len);
        let record = Record::chunk(ContentHash::of(&content), content, 1);
        body.extend_from_slice(&record.header.encode());
        body.extend_from_slice(&record.body);
    }
    body.into()
}

/// Fills a store with chunks of `len` bytes by adoption, the quickest way in.
fn fill(store: &Store, chunks: u64, len: usize) {
    let each = (64 << 20) / (len as u64 + 64);
    let mut number = 0;
    for first in (0..chunks).step_by(each as usize) {
        let body = part_body(first, each.min(chunks - first), len);
        number += 1;
        store.receive(&part(number), body.len() as u64, &mut std::iter::once(Ok(body))).unwrap();
        store.adopt(&ns(), &part(number)).unwrap().unwrap();
    }
}

/// Kilobytes of a line of /proc/self/status.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
}

/// Processor time of this process so far.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // User and system time, in hundredths of a second.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn rate(what: &str, count: u64, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    println!("{what}: {:.0} a second ({count} in {seconds:.2} s)", count as f64 / seconds);
}

fn puts(dir: &Path) {
    let (store, _) = open(dir);
    for (threads, each) in [(32_u64, 1000_u64), (1, 500)] {
        let begun = Instant::now();
        let before = store.status().unwrap().syncs;
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..each {
                        put(store, noise(threads << 50 | thread << 32 | n, 4096));
                    }
                });
            }
        });
        rate(&format!("durable 4 KiB puts, {threads} threads"), threads * each, begun);
        println!("  {} syncs", store.status().unwrap().syncs - before);
    }
}

fn service(dir: &Path) {
    let (store, _) = open(dir);
    let service = Arc::new(StoreService::new(store, 8));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let begun = Instant::now();
    let (tasks, each) = (256_u64, 200_u64);
    runtime.block_on(async {
        let puts = (0..tasks).map(|task| {
            let service = Arc::clone(&service);
            tokio::spawn(async move {
                for n in 0..each {
                    let content = noise(task << 32 | n, 4096);
                    let hash = ContentHash::of(&content);
                    service.put(&ns(), Some(&hash), Some(4096), stream_of(content)).await.unwrap();
                }
            })
        });
        for put in puts.collect::<Vec<_>>() {
            put.await.unwrap();
        }
    });
    rate(&format!("durable 4 KiB puts through the service, {tasks} tasks"), tasks * each, begun);
}

fn gets(dir: &Path) {
    let (store, _) = open(dir);
    let count = 100_000_u64;
    fill(&store, count, 4096);
    store.checkpoint().unwrap();
    let hashes: Vec<ContentHash> = (0..count).map(|n| ContentHash::of(&noise(n, 4096))).collect();
    for threads in [1_usize, 2] {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (store, hashes) = (&store, &hashes);
                scope.spawn(move || {
                    let namespace = ns();
                    for n in 0..hashes.len() {
                        let hash = &hashes[(n * 7919 + thread * 31) % hashes.len()];
                        let blob = store.get(&namespace, hash, ByteRange::ALL).unwrap().unwrap();
                        assert_eq!(blob.map(Result::unwrap).map(|piece| piece.len()).sum::<usize>(), 4096);
                    }
                });
            }
        });
        rate(&format!("warm 4 KiB gets, {threads} threads"), count * threads as u64, begun);
    }
    let service = StoreService::new(store, 8);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let begun = Instant::now();
    runtime.block_on(async {
        let namespace = ns();
        for n in 0..hashes.len() {
            let hash = &hashes[(n * 7919) % hashes.len()];
            let blob = service.get(&namespace, hash, ByteRange::ALL).await.unwrap().unwrap();
            assert_eq!(collect(blob.body, 1 << 20).await.unwrap().len(), 4096);
        }
    });
    rate("warm 4 KiB gets through the service, 1 thread", count, begun);
}

fn adopt(dir: &Path) {
    let (store, _) = open(dir);
    let mut number = 0;
    for len in [4096_usize, 512 << 10] {
        let each = (64 << 20) / (len as u64 + 64);
        let bodies: Vec<Bytes> = (0..4).map(|n| part_body(len as u64 * 1_000_000 + n * each, each, len)).collect();
        let mut adopting = Duration::ZERO;
        let begun = Instant::now();
        for body in &bodies {
            number += 1;
            store.receive(&part(number), body.len() as u64, &mut std::iter::once(Ok(body.clone()))).unwrap();
            let received = Instant::now();
            store.adopt(&ns(), &part(number)).unwrap().unwrap();
            adopting += received.elapsed();
        }
        let megabytes = bodies.iter().map(Bytes::len).sum::<usize>() as f64 / 1e6;
        println!(
            "adopt, chunks of {len}: {:.0} MB/s; receive and adopt: {:.0} MB/s",
            megabytes / adopting.as_secs_f64(),
            megabytes / begun.elapsed().as_secs_f64()
        );
    }
}

fn open_after_kill(dir: &Path, chunks: u64) {
    let (store, _) = open(dir);
    fill(&store, chunks.saturating_sub(4000), 1024);
    store.checkpoint().unwrap();
    for n in 0..4000 {
        put(&store, noise(1 << 60 | n, 4096));
    }
    // Dropped without close: no checkpoint, as after a kill.
    drop(store);
    for _ in 0..3 {
        let begun = Instant::now();
        let (store, _) = open(dir);
        let took = begun.elapsed();
        println!("open {chunks} chunks after a kill: {took:?}, {:?}", store.recovery());
    }
}

fn evict(dir: &Path, blobs: u64) {
    let (store, clock) = open(dir);
    fill(&store, blobs, 4096);
    store.checkpoint().unwrap();
    clock.0.store(12 * 60 * 60 * 1000, Ordering::Relaxed);
    store.set_quota(64 << 20);
    let (begun, cpu, mut gone) = (Instant::now(), processor_seconds(), 0);
    loop {
        let step = store.evict_step().unwrap();
        gone += step.blobs;
        if step.segments == 0 {
            break;
        }
    }
    let each = |seconds: f64| seconds * 1e6 / gone as f64;
    let (wall, cpu) = (each(begun.elapsed().as_secs_f64()), each(processor_seconds() - cpu));
    println!("evicted {gone} blobs, {wall:.2} us each; {cpu:.2} us of processor");
}

fn scale(dir: &Path, chunks: u64) {
    let (store, _) = open(dir);
    let begun = Instant::now();
    fill(&store, chunks, 100);
    println!("{chunks} chunks in {:?}", begun.elapsed());
    store.checkpoint().unwrap();
    println!("resident, own: {} MB; of files: {} MB", memory("RssAnon:") / 1000, memory("RssFile:") / 1000);
    let namespace = ns();
    for first in (0..chunks).step_by(10_000) {
        let hashes: Vec<_> = (first..chunks.min(first + 10_000)).map(|n| ContentHash::of(&noise(n, 100))).collect();
        assert!(store.missing(&namespace, &hashes).unwrap().is_empty());
    }
    println!("after touching all: resident, own: {} MB; {:?}", memory("RssAnon:") / 1000, store.status().unwrap());
    assert!(memory("RssAnon:") < 300_000, "more than 300 MB are resident");
    let begun = Instant::now();
    store.close().unwrap();
    println!("closed in {:?}", begun.elapsed());
    drop(store);
    let begun = Instant::now();
    let (store, _) = open(dir);
    println!("opened in {:?}", begun.elapsed());
    assert!(store.missing(&namespace, &[ContentHash::of(&noise(chunks - 1, 100))]).unwrap().is_empty());
}

fn large(dir: &Path, gib: u64) {
    let (store, _) = open(dir);
    let pieces = gib << 10;
    let most = AtomicU64::new(0);
    let begun = Instant::now();
    let watched = |number: u64| {
        most.fetch_max(memory("RssAnon:"), Ordering::Relaxed);
        noise(number, 1 << 20)
    };
    let digest = store.put(&ns(), None, None, &mut (0..pieces).map(|number| Ok(watched(number)))).unwrap();
    let megabytes = (gib << 30) as f64 / 1e6;
    println!("put {gib} GiB: {:.0} MB/s", megabytes / begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let mut hasher = larder_base::Hasher::expecting(None);
    for piece in store.get(&ns(), &digest.hash, ByteRange::ALL).unwrap().unwrap() {
        hasher.update(&piece.unwrap());
        most.fetch_max(memory("RssAnon:"), Ordering::Relaxed);
    }
    assert_eq!(hasher.finish(), digest);
    println!("get and hash: {:.0} MB/s", megabytes / begun.elapsed().as_secs_f64());
    let most = most.into_inner() / 1000;
    println!("most resident: {most} MB");
    assert!(most < 150, "memory must not grow with the blob");
}

/// What `crates/store/src/tests/formats.rs` expects to find.
fn fixture(dir: &Path) {
    let (store, clock) = open(dir);
    let address = |key: &str| EntryAddress {
        namespace: ns(),
        scope: "ref/main".parse().unwrap(),
        door: DoorName::new("fixture"),
        key: key.parse().unwrap(),
    };
    let small = put(&store, Bytes::from_static(b"a small blob"));
    let text = Bytes::from("a line of a large blob that compresses well\n".repeat(70_000));
    let mut pieces = std::iter::once(Ok(text));
    let large = store.put(&ns(), None, None, &mut pieces).unwrap();
    let new = |value: &'static str| NewEntry {
        body: EntryBody::Value(Bytes::from_static(value.as_bytes())),
        attributes: [("content-type".to_owned(), "text/plain".to_owned())].into(),
        links: [small.hash, large.hash].into(),
        writer: "fixture".into(),
    };
    for (key, value) in [("kept", "first"), ("removed", "gone"), ("kept", "the value")] {
        store.put_entry(&address(key), new(value), PutIf::Always).unwrap();
    }
    assert!(store.delete_entry(&address("removed")).unwrap());
    store.checkpoint().unwrap();
    let body = part_body(0, 3, 100);
    for number in [1, 2] {
        store.receive(&part(number), body.len() as u64, &mut std::iter::once(Ok(body.clone()))).unwrap();
    }
    store.adopt(&ns(), &part(1)).unwrap().unwrap();
    // A touch in a later span of time makes a mark; all of this is in the log only, for the reader to catch up with.
    clock.0.store(2 * 60 * 60 * 1000, Ordering::Relaxed);
    assert!(store.locate(&ns(), &[small.hash]).unwrap().len() == 1);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, command, rest @ ..] = &arguments[..] else { panic!("usage: measure DIR COMMAND [N]; see the source") };
    let dir = Path::new(dir);
    assert!(!dir.exists(), "{} exists; choose a new directory", dir.display());
    let number = |default: u64| rest.first().map_or(default, |text| text.parse().unwrap());
    match command.as_str() {
        "puts" => puts(dir),
        "service" => service(dir),
        "gets" => gets(dir),
        "adopt" => adopt(dir),
        "open" => open_after_kill(dir, number(1_000_000)),
        "evict" => evict(dir, number(500_000)),
        "scale" => scale(dir, number(10_000_000)),
        "fixture" => fixture(dir),
        "large" => large(dir, number(5)),
        other => panic!("no command {other}; see the source"),
    }
}
