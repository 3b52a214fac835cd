//! The messages of ccache's storage helper protocol, version 1, to and from bytes.
//!
//! No input makes the decoder fail but an unknown request, and none makes it hold more than was sent: lengths are
//! believed only as far as bytes arrive.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// What the helper says first: version 1, and that it can get, put and remove (0), tell about itself (1), and say
/// whether it has a key (2).
pub(super) const GREETING: [u8; 5] = [1, 3, 0, 1, 2];

/// The most bytes of a value. A larger one is read, dropped and answered as not stored.
pub(super) const VALUE_MAX: u64 = 64 << 20;

const PUT_OVERWRITE: u8 = 1;
const OK: u8 = 0;
const NOOP: u8 = 1;
const ERROR: u8 = 2;
/// Requests that do not fit yet are waited for in steps of this.
const STEP: usize = 64 << 10;

/// What ccache asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// For the value of a key.
    Get(Bytes),
    /// To keep a value.
    Put {
        /// Its key.
        key: Bytes,
        /// Whether it replaces what is there.
        overwrite: bool,
        /// The value.
        value: Bytes,
    },
    /// To keep a value of more than [`VALUE_MAX`] bytes; they were dropped.
    PutTooLarge,
    /// To forget a key.
    Remove(Bytes),
    /// To end, whatever is going on.
    Stop,
    /// What the helper is.
    Info,
    /// Whether a key is there.
    Exists(Bytes),
}

/// What the helper answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was done.
    Done,
    /// The value.
    Value(Bytes),
    /// Not found, not stored, not removed.
    Noop,
    /// It failed, and why; at most 255 bytes are sent.
    Failed(String),
    /// What the helper is, and what ccache should log about it.
    Info(String, Vec<String>),
}

/// A request that the protocol does not have; nothing after it can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnknownRequest(pub(super) u8);

/// Takes requests out of the bytes of one connection.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    read: BytesMut,
    /// Bytes of a value that is too large, still to come.
    dropping: Option<u64>,
}

impl Decoder {
    /// The room for the next bytes of the connection.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        if self.read.capacity() - self.read.len() < STEP / 4 {
            self.read.reserve(STEP);
        }
        &mut self.read
    }

    /// Whether a request has begun and not ended.
    pub(super) fn is_midway(&self) -> bool {
        !self.read.is_empty() || self.dropping.is_some()
    }

    /// The next request, once all of it is here.
    pub(super) fn next(&mut self) -> Result<Option<Request>, UnknownRequest> {
        if let Some(left) = self.dropping {
            return Ok(self.drop_more(left));
        }
        let Some(&tag) = self.read.first() else { return Ok(None) };
        match tag {
            0 => Ok(self.take_key().map(Request::Get)),
            1 => Ok(self.take_put()),
            2 => Ok(self.take_key().map(Request::Remove)),
            3 => Ok(Some(self.take_tag(Request::Stop))),
            4 => Ok(Some(self.take_tag(Request::Info))),
            5 => Ok(self.take_key().map(Request::Exists)),
            unknown => Err(UnknownRequest(unknown)),
        }
    }

    fn take_tag(&mut self, request: Request) -> Request {
        self.read.advance(1);
        request
    }

    /// Takes tag, length and key.
    fn take_key(&mut self) -> Option<Bytes> {
        let end = 2 + usize::from(*self.read.get(1)?);
        (self.read.len() >= end).then(|| self.read.split_to(end).freeze().slice(2..))
    }

    /// Takes tag, key, flags, length and value.
    fn take_put(&mut self) -> Option<Request> {
        let key_end = 2 + usize::from(*self.read.get(1)?);
        let head_end = key_end + 1 + 8;
        let head = self.read.get(..head_end)?;
        let overwrite = head[key_end] & PUT_OVERWRITE != 0;
        let length = u64::from_ne_bytes(head[key_end + 1..].try_into().expect("eight bytes of a length"));
        if length > VALUE_MAX {
            self.read.advance(head_end);
            return self.drop_more(length);
        }
        let length = length as usize;
        if self.read.len() < head_end + length {
            return None;
        }
        let head = self.read.split_to(head_end).freeze();
        let value = self.read.split_to(length).freeze();
        Some(Request::Put { key: head.slice(2..key_end), overwrite, value })
    }

    fn drop_more(&mut self, left: u64) -> Option<Request> {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.read.len());
        self.read.advance(here);
        let left = left - here as u64;
        self.dropping = (left > 0).then_some(left);
        (left == 0).then_some(Request::PutTooLarge)
    }
}

impl Answer {
    /// Writes the answer, but for the bytes of a value, which follow it.
    pub(super) fn write_head(&self, out: &mut BytesMut) {
        match self {
            Self::Done => out.put_u8(OK),
            Self::Value(value) => {
                out.put_u8(OK);
                out.put_slice(&(value.len() as u64).to_ne_bytes());
            }
            Self::Noop => out.put_u8(NOOP),
            Self::Failed(message) => {
                out.put_u8(ERROR);
                write_message(message, out);
            }
            Self::Info(identity, notes) => {
                write_message(identity, out);
                let notes = &notes[..notes.len().min(255)];
                out.put_u8(notes.len() as u8);
                for note in notes {
                    write_message(note, out);
                }
            }
        }
    }
}

/// A message of at most 255 bytes, cut between characters.
fn write_message(message: &str, out: &mut BytesMut) {
    let mut end = message.len().min(255);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    out.put_u8(end as u8);
    out.put_slice(&message.as_bytes()[..end]);
}

#[cfg(test)]
mod tests;
