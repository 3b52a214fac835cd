//! Chunks whose names an adoption cannot take over.
//!
//! That a record was found bad is known to memory and to the index, and not to the log. Read again, the log may have it
//! where it was, be it that the index is older or that the disk has only a stub; and an adoption leaves a name to the record
//! that has it. The record of a chunk does not: it takes over its name. So before a part is adopted those of its chunks are
//! written to the log whose names such a record may have, and the adoption finds them there.

use larder_base::segment::Record;
use larder_base::{Error, PartName, Result};

use super::part_path;
use crate::blobs::append_chunk;
use crate::body::TrailerLine;
use crate::committer::Terms;
use crate::disk::{DiskFile, OnDisk};
use crate::group::{Group, weight};
use crate::scan::{Scanner, Step};
use crate::store::Store;

/// A chunk of a part whose name is [contested](crate::rows::Claim::Contested): where its record begins, and its line.
pub(super) type Contested = (u64, TrailerLine);

/// Bytes written in one operation.
const WRITE_AT_ONCE: u64 = 1 << 20;

impl Store {
    /// Does what `join` makes until it finds no name contested; `file` is the part.
    pub(super) fn join_uncontested<Op>(&self, part: &PartName, file: &dyn DiskFile, join: impl Fn() -> Op) -> Result<()>
    where
        Op: FnOnce(&mut Group<'_>) -> Result<Vec<Contested>> + Send + 'static,
    {
        loop {
            let contested = self.core().queue.call(Terms::housekeeping(weight([4096])), join())?;
            if contested.is_empty() {
                return Ok(());
            }
            self.write_contested(part, file, &contested)?;
        }
    }

    /// Writes chunks of a part to the log. Nobody has them, and nobody waits for them to be durable: the adoption that
    /// follows in the log grants them and is synced.
    fn write_contested(&self, part: &PartName, file: &dyn DiskFile, contested: &[Contested]) -> Result<()> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        for (at, (offset, line)) in contested.iter().enumerate() {
            let step = Scanner::new(file, *offset, offset + line.record_len()).next();
            let record = match step.at("read part", &part_path(part))? {
                // It was verified, but in the bucket somebody may have put another in its place.
                Some(Step::Record { header, body: Ok(body), .. })
                    if TrailerLine::from(&header) == *line && header.open_chunk(&body).is_ok() =>
                {
                    Record { header, body }
                }
                _ => {
                    let message = format!("part {part}, offset {offset}: the record changed while it was adopted");
                    return Err(Error::invalid("adopt part", message));
                }
            };
            bytes += record.len();
            batch.push(record);
            if bytes > WRITE_AT_ONCE || at + 1 == contested.len() {
                let records = std::mem::take(&mut batch);
                let terms = Terms::write(weight(records.iter().map(|record| record.body.len()))).unsynced();
                self.make_room(terms.weight)?;
                self.core().queue.call(terms, move |group| {
                    records.into_iter().try_for_each(|record| append_chunk(group, record.header.hash, record).map(drop))
                })?;
                bytes = 0;
            }
        }
        Ok(())
    }
}
