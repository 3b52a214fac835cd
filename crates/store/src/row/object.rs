//! The row of an object in the bucket.

use bytes::Bytes;
use larder_base::Result;

use crate::bucket::ObjectName;
use crate::codec::{Reader, Writer};

/// What is known of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectState {
    /// It may be there: it was about to be put.
    Intended,
    /// It is there.
    Stored,
    /// Its segment was evicted: it is to be deleted.
    Doomed,
}

/// The object of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectRow {
    pub(crate) state: ObjectState,
    /// Bytes of the object.
    pub(crate) length: u64,
    pub(crate) name: ObjectName,
}

impl ObjectRow {
    pub(crate) fn encode(&self) -> Bytes {
        let mut row = Writer::with_capacity(80);
        row.u8(match self.state {
            ObjectState::Intended => 1,
            ObjectState::Stored => 2,
            ObjectState::Doomed => 3,
        });
        row.u64(self.length);
        row.text(self.name.as_str());
        row.0.into()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(row, "row of table objects");
        let state = match reader.u8()? {
            1 => ObjectState::Intended,
            2 => ObjectState::Stored,
            3 => ObjectState::Doomed,
            _ => return Err(reader.malformed()),
        };
        let length = reader.u64()?;
        let name = reader.text()?.parse().map_err(|_| reader.malformed())?;
        reader.end()?;
        Ok(Self { state, length, name })
    }
}
