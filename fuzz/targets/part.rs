//! A part that a client sent, adopted by a real store: whatever it holds, what is present afterwards is what its name says.
#![no_main]

use std::cell::RefCell;

use bytes::Bytes;
use larder_base::segment::{RECORD_HEADER_LEN, Record, RecordHeader, RecordKind, SEGMENT_HEADER};
use larder_base::{ByteRange, Clock, ContentHash, ErrorKind, HashFunction, Namespace, PartName, Timestamp};
use larder_store::{Durability, Options, Store};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_64;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000_000)
    }
}

/// After so many parts the store is made anew: each part that is adopted is a file.
const PARTS_MAX: u64 = 2000;

struct Place {
    parts: u64,
    store: Store,
    _dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory for the store");
        let options = Options { durability: Durability::Relaxed, workers: 1, ..Options::new(dir.path(), 1 << 40) };
        let store = Store::open(options, std::sync::Arc::new(Still)).expect("a new store opens");
        Self { parts: 0, store, _dir: dir }
    }
}

thread_local! {
    static PLACE: RefCell<Place> = RefCell::new(Place::new());
}

fuzz_target!(|part: Part<'_>| PLACE.with_borrow_mut(|place| {
    if place.parts == PARTS_MAX {
        *place = Place::new();
    }
    place.parts += 1;
    check(&place.store, place.parts, &part);
}));

fn check(store: &Store, number: u64, part: &Part<'_>) {
    let part = part.bytes();
    let name = PartName { upload: format!("{number:032x}").parse().expect("32 digits name an upload"), number: 1 };
    // A namespace of its own, so that nothing is present before.
    let namespace: Namespace = format!("n{number}").parse().expect("letters and digits name a namespace");
    let length = part.len() as u64;
    let received = store.receive(&name, length, &mut std::iter::once(Ok(part.clone())));
    if let Err(error) = received {
        assert!(matches!(error.kind(), ErrorKind::Invalid | ErrorKind::TooLarge), "{error}");
        return;
    }
    let hashes = hashes_in(&part);
    let is_adopted = match store.adopt(&namespace, &name) {
        Ok(adopted) => adopted.is_some(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            store.discard(&name.upload).expect("what was refused is discarded");
            false
        }
    };
    for hash in hashes {
        let found = store.get(&namespace, &hash, ByteRange::ALL).expect("a good store reads");
        assert!(is_adopted || found.is_none(), "a part that was refused left {hash} behind");
        let Some(reader) = found else { continue };
        let content: Vec<u8> = reader.map(|piece| piece.expect("what was adopted is readable")).flatten().collect();
        assert!(hash.names(&content), "{hash} is served with other content");
    }
}

/// What a client might send.
#[derive(Arbitrary, Debug)]
struct Part<'a> {
    chunks: Vec<Chunk<'a>>,
    rest: &'a [u8],
}

#[derive(Arbitrary, Debug)]
struct Chunk<'a> {
    content: &'a [u8],
    repeats: u8,
    is_blake3: bool,
    /// Where a byte of the record is another than it should be.
    wrong: Option<(u16, u8)>,
    /// Whether the checksums are of what then stands there.
    is_mended: bool,
}

impl Part<'_> {
    fn bytes(&self) -> Bytes {
        let mut part = SEGMENT_HEADER.to_vec();
        self.chunks.iter().for_each(|chunk| part.extend_from_slice(&chunk.bytes()));
        part.extend_from_slice(self.rest);
        part.into()
    }
}

impl Chunk<'_> {
    fn bytes(&self) -> Vec<u8> {
        let content = self.content.repeat(1 + usize::from(self.repeats));
        let function = if self.is_blake3 { HashFunction::TREE } else { HashFunction::Sha256 };
        let record = Record::chunk(function.hash(&content), content.into(), 1);
        let mut bytes = [&record.header.encode()[..], &record.body].concat();
        if let Some((at, byte)) = self.wrong {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        if self.is_mended {
            let (head, body) = bytes.split_at_mut(RECORD_HEADER_LEN);
            head[48..56].copy_from_slice(&xxh3_64(body).to_le_bytes());
            let checksum = xxh3_64(&head[..56]);
            head[56..].copy_from_slice(&checksum.to_le_bytes());
        }
        bytes
    }
}

/// The chunks that the part claims to hold.
fn hashes_in(part: &[u8]) -> Vec<ContentHash> {
    let mut hashes = Vec::new();
    let mut rest = &part[SEGMENT_HEADER.len()..];
    while let Some((head, after)) = rest.split_first_chunk::<RECORD_HEADER_LEN>() {
        let Ok(header) = RecordHeader::decode(head) else { break };
        if header.kind == RecordKind::Chunk {
            hashes.push(header.hash);
        }
        let Some(after) = after.get(header.stored_len as usize..) else { break };
        rest = after;
    }
    hashes
}
