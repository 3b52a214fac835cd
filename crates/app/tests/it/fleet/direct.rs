//! Large bytes go straight between node and bucket: the server sees few of them, in both directions.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use larder_base::segment::{Codec, RECORD_HEADER_LEN, Record, RecordHeader, RecordKind, SEGMENT_HEADER};
use larder_testkit::content::noise;
use larder_testkit::s3::{FakeS3, Lockout};
use serde_json::Value;

use crate::server::wait_until;

use super::site::{Bucket, Fleet, Node, files, is_noise, make_noise};

/// Files of a tree, of a megabyte each.
const FILES: u64 = 40;
const TREE_BYTES: u64 = FILES * 1_000_000;
/// What a save and a restore of it may have the server receive and send, heads of messages and the list of files included.
const FEW_BYTES: u64 = TREE_BYTES / 20;

/// The way to a server, where all bytes are counted.
struct Relay {
    url: String,
    bytes: Arc<AtomicU64>,
}

impl Relay {
    fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let bytes = Arc::new(AtomicU64::new(0));
        let count = bytes.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = UnixStream::connect(&socket) else { continue };
                let (up, down) = ((near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near));
                let (counts_up, counts_down) = (count.clone(), count.clone());
                std::thread::spawn(move || pass_on(up.0, up.1, &counts_up));
                std::thread::spawn(move || pass_on(down.0, down.1, &counts_down));
            }
        });
        Self { url, bytes }
    }

    /// The bytes since this was last asked.
    fn take(&self) -> u64 {
        self.bytes.swap(0, Ordering::SeqCst)
    }
}

trait End: Read + Write {
    fn close(&self);
}

impl End for TcpStream {
    fn close(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl End for UnixStream {
    fn close(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

fn pass_on(mut from: impl End, mut to: impl End, count: &AtomicU64) {
    let mut piece = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        count.fetch_add(length as u64, Ordering::SeqCst);
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    from.close();
    to.close();
}

/// A fleet whose server has tried by now what the bucket can do: while it does, segments come to it.
fn fleet() -> Fleet {
    let fleet = Fleet::new(Bucket::fake(), "");
    let folder = fleet.fresh("trial");
    std::fs::write(folder.join("file"), "for the trial").unwrap();
    let saved = fleet.command(&folder, &["--strict", "save", "trial", "file"]).output().unwrap();
    assert!(saved.status.success(), "{saved:?}");
    fleet
}

fn store_of(fleet: &Fleet) -> &FakeS3 {
    match &fleet.bucket {
        Bucket::Fake { store, .. } => store,
        Bucket::Real(..) => unreachable!("these tests have a store of their own"),
    }
}

/// Saves a tree and waits until it is sent; tells what the node says of the direct ways.
fn save(node: &Node, key: &str, seed: u64, files: u64) -> Value {
    make_noise(node.work(), seed, files);
    let saved = crate::job::said(&node.job(&format!("larder save {key} tree")));
    assert!(saved.contains(&format!("saved {key}")), "{saved}");
    let sent = node.wait_until_sent();
    assert_eq!((&sent["refused"], &sent["conflicts"], &sent["lost"]), (&0.into(), &0.into(), &0.into()), "{sent}");
    sent["direct"].clone()
}

#[test]
fn a_node_s_bytes_go_straight_into_the_bucket_and_come_straight_from_it() {
    let fleet = fleet();
    let relay = Relay::to(fleet.socket());
    let (before, _) = store_of(&fleet).carried();
    let sent = save(&fleet.node_at("a", &relay.url), "key", 1, FILES);
    let (put, got) = store_of(&fleet).carried();
    let put = put - before;
    assert!(put > TREE_BYTES && sent["bytes_up"].as_u64() == Some(put), "{put}, {sent}");
    assert_eq!((got, &sent["failed"]), (0, &0.into()), "{sent}");
    let crossed = relay.take();
    assert!(crossed < FEW_BYTES, "{crossed} bytes crossed the server");
    assert_eq!(fleet.bucket_status()["adopted"], fleet.bucket.objects().len(), "what was put is kept as it lies");

    let fresh = fleet.node_at("b", &relay.url);
    assert_eq!(fresh.restore("key")["result"], "hit");
    assert!(is_noise(fresh.work(), 1, FILES));
    let direct = fresh.status()["direct"].clone();
    let (_, got) = store_of(&fleet).carried();
    assert!(got > TREE_BYTES - FEW_BYTES && direct["bytes_down"].as_u64() == Some(got), "{got}, {direct}");
    assert_eq!((&direct["failed"], &direct["wrong"]), (&0.into(), &0.into()), "{direct}");
    let crossed = relay.take();
    assert!(crossed < FEW_BYTES, "{crossed} bytes crossed the server");
}

#[test]
fn a_node_whose_connections_to_the_bucket_break_saves_and_restores_through_the_server() {
    goes_through_the_server(Lockout::Reset);
}

#[test]
fn a_node_that_the_bucket_does_not_answer_saves_and_restores_through_the_server() {
    goes_through_the_server(Lockout::Silence);
}

fn goes_through_the_server(lockout: Lockout) {
    let fleet = fleet();
    let relay = Relay::to(fleet.socket());
    save(&fleet.node("a"), "before", 1, FILES);
    store_of(&fleet).lock_clients_out(Some(lockout));
    let (node, carried) = (fleet.node_at("b", &relay.url), store_of(&fleet).carried());
    let direct = save(&node, "key", 2, FILES);
    assert_eq!((&direct["bytes_up"], &direct["up"]), (&0.into(), &false.into()), "{direct}");
    assert!(direct["failed"].as_u64() >= Some(1), "{direct}");
    assert!(relay.take() > TREE_BYTES);
    let mut fresh = fleet.node_at("c", &relay.url);
    for (key, seed) in [("before", 1), ("key", 2)] {
        fresh.wipe();
        assert_eq!(fresh.restore(key)["result"], "hit", "{key}");
        assert!(is_noise(fresh.work(), seed, FILES));
    }
    let status = fresh.status();
    assert_eq!((&status["direct"]["bytes_down"], &status["direct"]["down"]), (&0.into(), &false.into()), "{status}");
    assert_eq!((&status["reachable"], &status["bad_answers"]), (&true.into(), &0.into()), "{status}");
    assert!(relay.take() > 2 * TREE_BYTES);
    assert_eq!(store_of(&fleet).carried(), carried);
}

#[test]
fn objects_that_the_bucket_forgot_are_a_miss_for_a_fresh_node_and_are_sent_again() {
    let fleet = fleet();
    let mut node = fleet.node("a");
    save(&node, "key", 1, 3);
    // One object beside that of the trial: those that nobody reads are not missed.
    assert_eq!(fleet.bucket.objects().len(), 2);
    fleet.bucket.objects().iter().for_each(|object| store_of(&fleet).forget(object));
    let lost = fleet.node("b").restore("key");
    assert_ne!(lost["result"], "hit", "{lost}");
    // Each time by a node that has not given the server up for what did not come.
    let tries = Cell::new(0);
    wait_until("it is known that they are gone", || {
        tries.set(tries.get() + 1);
        let fresh = fleet.node(&format!("fresh-{}", tries.get()));
        let (restored, status) = (fresh.restore("key"), fresh.status());
        assert_ne!(restored["result"], "hit", "{restored}");
        assert_eq!((&status["bad_answers"], &status["direct"]["wrong"]), (&0.into(), &0.into()), "{status}");
        restored["result"] == "miss" && status["reachable"] == true
    });
    node.wipe();
    save(&node, "key", 1, 3);
    let last = fleet.node("last");
    assert_eq!(last.restore("key")["result"], "hit");
    assert!(is_noise(last.work(), 1, 3));
}

/// A segment in which every chunk that is stored as it is has another content, under the name it had and with right checksums.
fn forged(segment: &Bytes) -> Bytes {
    let mut rest = segment.slice(SEGMENT_HEADER.len()..);
    let mut forged = BytesMut::from(&SEGMENT_HEADER[..]);
    while let Some(Ok(header)) = rest.first_chunk().map(RecordHeader::decode) {
        let record = rest.split_to(header.record_len() as usize);
        if header.kind == RecordKind::Chunk && header.codec == Codec::Raw {
            let other = Record::chunk(header.hash, noise(7, header.raw_len as usize), 1);
            assert_eq!(other.len(), header.record_len());
            forged.extend_from_slice(&other.header.encode());
            forged.extend_from_slice(&other.body);
        } else {
            forged.extend_from_slice(&record[..RECORD_HEADER_LEN]);
            forged.extend_from_slice(&record[RECORD_HEADER_LEN..]);
        }
    }
    forged.extend_from_slice(&rest);
    forged.freeze()
}

#[test]
fn what_was_forged_in_the_bucket_is_no_hit_and_in_no_job_s_files() {
    let fleet = fleet();
    save(&fleet.node("a"), "key", 1, FILES);
    let store = store_of(&fleet);
    for name in fleet.bucket.objects() {
        let object = store.object(&name).unwrap();
        assert_ne!(forged(&object), object, "{name}");
        store.put(&name, forged(&object));
    }
    let mut node = fleet.node("b");
    for turn in ["the first", "the next", "after kill -9"] {
        if turn == "after kill -9" {
            node.kill();
            node.restart();
        }
        let restored = node.restore("key");
        assert_ne!(restored["result"], "hit", "{turn}: {restored}");
        let tree = node.work().join("tree");
        for number in files(&tree).iter().filter_map(|name| name.parse::<u64>().ok()) {
            let bytes = std::fs::read(tree.join(number.to_string())).unwrap();
            assert!(bytes == noise(1000 + number, 1_000_000), "{turn}: {number} has wrong bytes");
        }
        let status = node.status();
        assert!(turn == "the next" || status["bad_answers"].as_u64() >= Some(1), "{turn}: {status}");
        wait_until("the node asks the server again", || node.status()["reachable"] == true);
    }
}
