//! Where a blob is cut. A short blob is one chunk; a longer one is cut by content, so that an edit changes the chunks it
//! touches and no others.
//!
//! The cut is FastCDC 2020 with the parameters that the Remote Execution API names for `FASTCDC_2020` (minimum a quarter
//! and maximum four times of the average, normalisation 2, seed 0), so that clients' chunks and ours coincide.

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use fastcdc::v2020::{FastCDC, MASKS, Normalization};

/// The least bytes of a chunk of [`Cut::BLOB`] that is not the last of its blob.
pub const MIN_LEN: usize = Cut::BLOB.min_len();
/// The most bytes of any chunk, and the size above which [`Cut::BLOB`] cuts.
pub const MAX_LEN: usize = Cut::BLOB.max_len();

/// How finely a blob is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    average: usize,
}

impl Cut {
    /// What the store cuts blobs with: 512 KiB on average, as the Remote Execution API has it.
    pub const BLOB: Self = Self { average: 512 * 1024 };
    /// What the files of saved trees are cut with: 128 KiB on average. Measured on a `target/` and its next state, that is
    /// 6 % fewer bytes to send and 10 % less work to compress them (`docs/design/002-blake3.md`).
    pub const TREE: Self = Self { average: 128 * 1024 };

    /// The least bytes of a chunk that is not the last of its blob.
    pub const fn min_len(self) -> usize {
        self.average / 4
    }

    /// The most bytes of a chunk, and the size above which a blob is cut.
    pub const fn max_len(self) -> usize {
        self.average * 4
    }

    /// How many bytes of `ahead` the next chunk takes. `ahead` begins where the last chunk ended and holds
    /// [`Cut::max_len`] bytes, or all that is left of the blob.
    ///
    /// This is the cut of the crate `fastcdc`, found with `gearhash`, which looks at four places at once: twice as fast.
    pub fn next(self, ahead: &[u8]) -> usize {
        let window = &ahead[..ahead.len().min(self.max_len())];
        if window.len() <= self.min_len() {
            return window.len();
        }
        // The published algorithm steps two bytes at a time and so never cuts before a last odd one.
        let end = window.len() & !1;
        let centre = self.average.min(end);
        // Before the average a cut is four times less likely than one in `average`, behind it four times more.
        let bits = self.average.ilog2() as usize;
        let mut gear = gearhash::Hasher::new(&GEAR);
        // The byte that completes a match begins the next chunk.
        if let Some(matched) = gear.next_match(&window[self.min_len()..centre], MASKS[bits + 2]) {
            return self.min_len() + matched - 1;
        }
        gear.next_match(&window[centre..end], MASKS[bits - 2]).map_or(window.len(), |matched| centre + matched - 1)
    }
}

/// What each byte adds to the rolling hash, as `fastcdc` has it: that is where the parameters are published.
static GEAR: LazyLock<gearhash::Table> = LazyLock::new(|| {
    std::array::from_fn(|byte| {
        // The least chunk has 64 bytes, and a single one behind it is all that is hashed.
        let probe = [byte as u8; 65];
        FastCDC::with_level_and_seed(&probe, 64, 256, 1024, Normalization::Level2, 0).cut(0, probe.len()).0
    })
});

/// Cuts a blob that arrives in pieces with [`Cut::BLOB`], holding at most [`MAX_LEN`] and one piece of it.
#[derive(Debug, Default)]
pub struct Cutter {
    ahead: BytesMut,
    was_cut: bool,
}

impl Cutter {
    /// A cutter at the start of a blob.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next piece. Take all chunks out with [`Cutter::next_chunk`] before the next push.
    pub fn push(&mut self, piece: &[u8]) {
        self.ahead.extend_from_slice(piece);
    }

    /// The next chunk, as soon as what follows it can no longer move its end.
    pub fn next_chunk(&mut self) -> Option<Bytes> {
        // The first cut waits for one byte more than a chunk may have: only then is the blob larger than one chunk.
        let enough = if self.was_cut { self.ahead.len() >= MAX_LEN } else { self.ahead.len() > MAX_LEN };
        enough.then(|| self.take())
    }

    /// The remaining chunks, once no piece follows; one empty chunk for an empty blob.
    pub fn finish(mut self) -> Vec<Bytes> {
        if !self.was_cut && self.ahead.len() <= MAX_LEN {
            return vec![self.ahead.freeze()];
        }
        let mut rest = Vec::new();
        while !self.ahead.is_empty() {
            rest.push(self.take());
        }
        rest
    }

    fn take(&mut self) -> Bytes {
        self.was_cut = true;
        let length = Cut::BLOB.next(&self.ahead);
        self.ahead.split_to(length).freeze()
    }
}

#[cfg(test)]
mod tests;
