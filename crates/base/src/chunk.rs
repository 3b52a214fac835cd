//! Where a blob is cut. A blob of up to [`MAX_LEN`] is one chunk; a larger one is cut by content, so that an edit
//! changes the chunks it touches and no others.
//!
//! The cut is FastCDC 2020 with the parameters that the Remote Execution API names for `FASTCDC_2020` (average 512 KiB,
//! minimum a quarter and maximum four times of it, normalisation 2, seed 0), so that clients' chunks and ours coincide.

use bytes::{Bytes, BytesMut};
use fastcdc::v2020::{FastCDC, Normalization};

/// The least bytes of a chunk that is not the last of its blob.
pub const MIN_LEN: usize = AVERAGE_LEN / 4;
/// The bytes of a chunk that the cut aims at.
pub const AVERAGE_LEN: usize = 512 * 1024;
/// The most bytes of a chunk, and the size above which a blob is cut.
pub const MAX_LEN: usize = AVERAGE_LEN * 4;

/// How many bytes of `ahead` the next chunk takes. `ahead` begins where the last chunk ended and holds [`MAX_LEN`] bytes,
/// or all that is left of the blob.
pub fn cut(ahead: &[u8]) -> usize {
    let window = &ahead[..ahead.len().min(MAX_LEN)];
    let cutter = FastCDC::with_level_and_seed(window, MIN_LEN, AVERAGE_LEN, MAX_LEN, Normalization::Level2, 0);
    cutter.cut(0, window.len()).1
}

/// Cuts a blob that arrives in pieces, holding at most [`MAX_LEN`] and one piece of it.
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
        let length = cut(&self.ahead);
        self.ahead.split_to(length).freeze()
    }
}

#[cfg(test)]
mod tests;
