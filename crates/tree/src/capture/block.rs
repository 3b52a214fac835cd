//! Memory that large files are read into. Fresh memory costs more than what is copied into it, so it is used again.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::budget::Room;
use crate::content::CUT;

/// Bytes of a block: a whole chunk always lies in it, and three quarters of it are new each time.
pub(super) const BLOCK_LEN: usize = 4 * CUT.max_len();

/// The blocks that nobody uses now.
#[derive(Debug, Default)]
pub(super) struct Blocks(Arc<Mutex<Vec<Vec<u8>>>>);

/// A block that is being filled.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    home: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Given back with the block.
    _room: Room,
}

impl Blocks {
    /// A block of [`BLOCK_LEN`] bytes, whatever they are. The room is for all of it.
    pub(super) fn take(&self, room: Room) -> Block {
        let used = self.0.lock().pop();
        Block { bytes: used.unwrap_or_else(|| vec![0; BLOCK_LEN]), home: self.0.clone(), _room: room }
    }
}

impl Block {
    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The filled block; it goes back to the others when the last slice of it is dropped.
    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.home.lock().push(std::mem::take(&mut self.bytes));
    }
}
