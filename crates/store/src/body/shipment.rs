//! The record of a segment's copy in a bucket.

use larder_base::Result;
use larder_base::segment::{Record, RecordKind};

use crate::bucket::ObjectName;
use crate::codec::{Reader, Writer};

/// A copy of a segment in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shipment {
    pub(crate) segment: u32,
    /// The object is there; else it may be.
    pub(crate) made: bool,
    /// Bytes of the object.
    pub(crate) length: u64,
    pub(crate) object: ObjectName,
}

impl Shipment {
    pub(crate) fn to_record(&self) -> Record {
        let mut body = Writer::default();
        body.u32(self.segment);
        body.u8(if self.made { 2 } else { 1 });
        body.u64(self.length);
        body.text(self.object.as_str());
        Record::other(RecordKind::Shipment, None, body.0.into())
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(body, "shipment record");
        let segment = reader.u32()?;
        let made = match reader.u8()? {
            1 => false,
            2 => true,
            _ => return Err(reader.malformed()),
        };
        let length = reader.u64()?;
        let object = reader.text()?.parse().map_err(|_| reader.malformed())?;
        reader.end()?;
        Ok(Self { segment, made, length, object })
    }
}
