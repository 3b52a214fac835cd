//! The segment format: one form for a file on a disk, an object in a bucket and the body of an upload.
//!
//! A segment is [`SEGMENT_HEADER`] and then records, each a [`RecordHeader`] and a body. Header and body have a checksum
//! each, so that a reader can step from header to header without the bodies, and knows a torn or flipped record when it
//! sees one. `docs/format.md` is the specification; this module is pure and reads or writes nothing itself.

use std::cell::RefCell;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::{ContentHash, HashFunction, chunk};

/// What every segment begins with: a magic word, the format's version, zeros.
pub const SEGMENT_HEADER: [u8; 16] = *b"LARDSEG\x01\0\0\0\0\0\0\0\0";
/// Bytes of a record before its body.
pub const RECORD_HEADER_LEN: usize = 64;
/// The most stored bytes of a record's body.
pub const BODY_MAX_LEN: usize = 256 * 1024 * 1024;
/// Content shorter than this is stored as it is: a frame's own header would eat the gain.
pub const COMPRESS_MIN_LEN: usize = 256;
/// The zstd level of bodies unless configured.
pub const DEFAULT_LEVEL: i32 = 1;

const RECORD_MAGIC: [u8; 4] = *b"LREC";
/// The newest version of the record format that is known.
const RECORD_VERSION_MAX: u8 = 2;

/// What a record is. The numbers are on disk; never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// The bytes of one chunk; the hash is of its content.
    Chunk = 1,
    /// The chunks of a blob larger than one; the hash is the blob's.
    Recipe = 2,
    /// An entry that was put.
    Entry = 3,
    /// An address whose entry was removed.
    Removal = 4,
    /// Hashes that a namespace now holds.
    Grant = 5,
    /// A segment made by a client that has been verified and joins the store.
    Adoption = 6,
    /// The last record of a sealed segment: a table of the others.
    Trailer = 7,
    /// The end of a group of records that take effect together or not at all.
    Commit = 8,
    /// A segment that was evicted: nothing in it counts any more.
    Eviction = 9,
    /// Segments of which something was promised to stay readable.
    Touch = 10,
    /// A copy of a segment in a bucket, intended or made.
    Shipment = 11,
    /// The table of a stub: what a disk keeps of a segment whose chunks are in a bucket only.
    Stub = 12,
}

impl RecordKind {
    /// The kind with this number on disk.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Chunk,
            2 => Self::Recipe,
            3 => Self::Entry,
            4 => Self::Removal,
            5 => Self::Grant,
            6 => Self::Adoption,
            7 => Self::Trailer,
            8 => Self::Commit,
            9 => Self::Eviction,
            10 => Self::Touch,
            11 => Self::Shipment,
            12 => Self::Stub,
            _ => return None,
        })
    }

    /// The number of this kind on disk.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The version of the record format that this kind came with; no record is of a higher one than it needs.
    const fn version(self) -> u8 {
        if self.code() <= Self::Touch.code() { 1 } else { 2 }
    }
}

/// How a body is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// As it is.
    Raw = 0,
    /// One zstd frame with its content size.
    Zstd = 1,
}

impl Codec {
    /// The codec with this number on disk.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Raw),
            1 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The number of this codec on disk.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// Why a record cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// No record begins here.
    #[error("no record begins here")]
    Magic,
    /// Written by a newer Larder.
    #[error("record version {0} is not known; a newer Larder wrote it")]
    Version(u8),
    /// The header's checksum does not match.
    #[error("the record's header is damaged")]
    Header,
    /// The header is whole but says what no writer may say.
    #[error("the record's header is not allowed: {0}")]
    Field(&'static str),
    /// The body's checksum does not match.
    #[error("the record's body is damaged")]
    Body,
    /// The body is whole but does not decompress to what the header says.
    #[error("the record's body does not decompress to its stated length")]
    Frame,
    /// The content does not hash to the record's name.
    #[error("the content does not hash to the record's name")]
    Content,
}

impl From<BadRecord> for crate::Error {
    fn from(bad: BadRecord) -> Self {
        Self::new(crate::ErrorKind::Corrupt, "read record", bad.to_string())
    }
}

/// The fixed part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// What the record is.
    pub kind: RecordKind,
    /// How its body is stored.
    pub codec: Codec,
    /// Bytes of the body as stored.
    pub stored_len: u32,
    /// Bytes of the body before compression.
    pub raw_len: u32,
    /// Chunk: the hash of the content. Recipe: of the blob. Else zeros.
    pub hash: ContentHash,
    body_checksum: u64,
}

impl RecordHeader {
    /// Bytes of the record, header and body.
    pub fn record_len(&self) -> u64 {
        RECORD_HEADER_LEN as u64 + u64::from(self.stored_len)
    }

    /// The header's 64 bytes.
    pub fn encode(&self) -> [u8; RECORD_HEADER_LEN] {
        let mut out = [0; RECORD_HEADER_LEN];
        out[..4].copy_from_slice(&RECORD_MAGIC);
        out[4] = self.kind.version();
        out[5] = self.kind.code();
        out[6] = self.codec.code();
        out[7] = self.hash.function().code();
        out[8..12].copy_from_slice(&self.stored_len.to_le_bytes());
        out[12..16].copy_from_slice(&self.raw_len.to_le_bytes());
        out[16..48].copy_from_slice(self.hash.as_bytes());
        out[48..56].copy_from_slice(&self.body_checksum.to_le_bytes());
        let checksum = xxh3_64(&out[..56]);
        out[56..].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads a header.
    ///
    /// # Errors
    /// When the bytes are not a whole, allowed header of a known version.
    pub fn decode(bytes: &[u8; RECORD_HEADER_LEN]) -> Result<Self, BadRecord> {
        if bytes[..4] != RECORD_MAGIC {
            return Err(BadRecord::Magic);
        }
        if xxh3_64(&bytes[..56]) != u64_at(bytes, 56) {
            return Err(BadRecord::Header);
        }
        if bytes[4] == 0 || bytes[4] > RECORD_VERSION_MAX {
            return Err(BadRecord::Version(bytes[4]));
        }
        let kind = RecordKind::from_code(bytes[5]).ok_or(BadRecord::Field("kind"))?;
        if bytes[4] < kind.version() {
            return Err(BadRecord::Field("version of this kind"));
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(&bytes[16..48]);
        let function = HashFunction::from_code(bytes[7]).ok_or(BadRecord::Field("hash function"))?;
        let header = Self {
            kind,
            codec: Codec::from_code(bytes[6]).ok_or(BadRecord::Field("codec"))?,
            stored_len: u32_at(bytes, 8),
            raw_len: u32_at(bytes, 12),
            hash: ContentHash::new(function, hash),
            body_checksum: u64_at(bytes, 48),
        };
        let most = if header.kind == RecordKind::Chunk { chunk::MAX_LEN } else { BODY_MAX_LEN };
        if header.raw_len as usize > most || header.stored_len > header.raw_len {
            return Err(BadRecord::Field("length"));
        }
        if header.codec == Codec::Raw && header.stored_len != header.raw_len {
            return Err(BadRecord::Field("length of a raw body"));
        }
        Ok(header)
    }

    /// Whether `stored` is the body this header was written for.
    ///
    /// # Errors
    /// [`BadRecord::Body`] when it is not.
    pub fn check_body(&self, stored: &[u8]) -> Result<(), BadRecord> {
        if stored.len() == self.stored_len as usize && xxh3_64(stored) == self.body_checksum {
            Ok(())
        } else {
            Err(BadRecord::Body)
        }
    }

    /// The body before compression, from a body as stored that was checked.
    ///
    /// # Errors
    /// [`BadRecord::Frame`] when it does not decompress to exactly `raw_len` bytes.
    pub fn decompress(&self, stored: &Bytes) -> Result<Bytes, BadRecord> {
        if self.codec == Codec::Raw {
            return Ok(stored.clone());
        }
        let mut raw = Vec::with_capacity(self.raw_len as usize);
        self.decompress_into(stored, &mut raw)?;
        Ok(raw.into())
    }

    /// As [`RecordHeader::decompress`], into a buffer that is cleared first and may be used again.
    ///
    /// # Errors
    /// [`BadRecord::Frame`], as there.
    pub fn decompress_into(&self, stored: &[u8], raw: &mut Vec<u8>) -> Result<(), BadRecord> {
        raw.clear();
        match self.codec {
            Codec::Raw => raw.extend_from_slice(stored),
            Codec::Zstd => {
                // A frame that would grow beyond its stated length stops at the buffer's capacity.
                raw.reserve_exact(self.raw_len as usize);
                DECOMPRESSOR
                    .with_borrow_mut(|zstd| zstd.decompress_to_buffer(stored, raw))
                    .map_err(|_| BadRecord::Frame)?;
            }
        }
        if raw.len() == self.raw_len as usize { Ok(()) } else { Err(BadRecord::Frame) }
    }

    /// The verified content of a chunk, from its body as stored: checksum, frame and hash are checked.
    ///
    /// # Errors
    /// What was wrong.
    pub fn open_chunk(&self, stored: &Bytes) -> Result<Bytes, BadRecord> {
        self.check_body(stored)?;
        let raw = self.decompress(stored)?;
        if self.hash.names(&raw) { Ok(raw) } else { Err(BadRecord::Content) }
    }
}

/// A record ready to be appended.
#[derive(Clone, Debug)]
pub struct Record {
    /// The fixed part.
    pub header: RecordHeader,
    /// The body as stored.
    pub body: Bytes,
}

impl Record {
    /// The record of a chunk, compressed at `level` when that pays. The caller vouches that `hash` is of `content`.
    ///
    /// # Panics
    /// When `content` is longer than [`chunk::MAX_LEN`].
    pub fn chunk(hash: ContentHash, content: Bytes, level: i32) -> Self {
        assert!(content.len() <= chunk::MAX_LEN, "a chunk has at most MAX_LEN bytes");
        Self::seal(RecordKind::Chunk, hash, content, Some(level))
    }

    /// A record of another kind, not compressed.
    ///
    /// # Panics
    /// When `body` is longer than [`BODY_MAX_LEN`].
    pub fn other(kind: RecordKind, hash: Option<ContentHash>, body: Bytes) -> Self {
        assert!(body.len() <= BODY_MAX_LEN, "a record's body has at most BODY_MAX_LEN bytes");
        Self::seal(kind, hash.unwrap_or(ContentHash::sha256([0; 32])), body, None)
    }

    /// Bytes of the record, header and body.
    pub fn len(&self) -> u64 {
        self.header.record_len()
    }

    /// Never: a record has a header.
    pub fn is_empty(&self) -> bool {
        false
    }

    fn seal(kind: RecordKind, hash: ContentHash, content: Bytes, level: Option<i32>) -> Self {
        let raw_len = content.len() as u32;
        let (codec, body) = match level.and_then(|level| compress(&content, level)) {
            Some(frame) => (Codec::Zstd, frame),
            None => (Codec::Raw, content),
        };
        let stored_len = body.len() as u32;
        let header = RecordHeader { kind, codec, stored_len, raw_len, hash, body_checksum: xxh3_64(&body) };
        Self { header, body }
    }
}

thread_local! {
    // A zstd context costs more to make than a small chunk costs to compress; one a thread is kept.
    static COMPRESSOR: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
    // Where a frame is made: it may be as long as the content, and most are much shorter.
    static FRAME: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static DECOMPRESSOR: RefCell<zstd::bulk::Decompressor<'static>> =
        RefCell::new(zstd::bulk::Decompressor::new().expect("a zstd context needs memory only"));
}

/// `content` as a zstd frame, if that saves at least a sixteenth of it.
fn compress(content: &[u8], level: i32) -> Option<Bytes> {
    if content.len() < COMPRESS_MIN_LEN || looks_like_noise(content) {
        return None;
    }
    COMPRESSOR.with_borrow_mut(|slot| {
        if slot.as_ref().is_none_or(|(kept, _)| *kept != level) {
            *slot = zstd::bulk::Compressor::new(level).ok().map(|compressor| (level, compressor));
        }
        let (_, compressor) = slot.as_mut()?;
        FRAME.with_borrow_mut(|frame| {
            frame.clear();
            frame.reserve(zstd::zstd_safe::compress_bound(content.len()));
            compressor.compress_to_buffer(content, frame).ok()?;
            (frame.len() <= content.len() - content.len() / 16).then(|| Bytes::copy_from_slice(frame))
        })
    })
}

/// Content of more bytes is never taken for noise by its look: it may repeat itself.
const NOISE_MAX_LEN: usize = 8 << 10;
/// How many bytes are looked at.
const NOISE_SAMPLE: usize = 1024;

/// Whether the bytes of a short content are spread over all values as those of something compressed or encrypted, so
/// that trying to compress it, which costs as much as hashing it, is in vain.
///
/// The sum of the squares of how often each value occurs is n + n(n-1)/256 for n random bytes, with a standard deviation
/// of n/sqrt(128). Text has ten times that sum, and a table of all values less; within six deviations it is noise.
fn looks_like_noise(content: &[u8]) -> bool {
    if !(NOISE_SAMPLE..=NOISE_MAX_LEN).contains(&content.len()) {
        return false;
    }
    // Runs, so that every byte of a number in an array is looked at.
    let runs = content.chunks(content.len() / 16).flat_map(|part| &part[..part.len().min(NOISE_SAMPLE / 16)]);
    let mut counts = [0_u32; 256];
    for byte in runs.take(NOISE_SAMPLE) {
        counts[usize::from(*byte)] += 1;
    }
    let squares: u32 = counts.iter().map(|count| count * count).sum();
    let n = NOISE_SAMPLE as u32;
    squares.abs_diff(n + n * (n - 1) / 256) <= 6 * n / 11
}

fn u32_at(bytes: &[u8; RECORD_HEADER_LEN], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8; RECORD_HEADER_LEN], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests;
