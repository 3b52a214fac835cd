//! Scrub: reads what lies at rest and checks that it still hashes to its name, a little at a time.

use std::time::Duration;

use larder_base::Result;
use larder_base::segment::{RecordKind, SEGMENT_HEADER};

use crate::disk::OnDisk;
use crate::files::segment_path;
use crate::index::Table;
use crate::row::BlobRow;
use crate::rows::Rows;
use crate::scan::{Scanner, Step, step_over};
use crate::store::Store;

/// What one step of the scrub did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Records checked.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Records found bad and set aside.
    pub bad: u64,
    /// The step came to the end of the last segment; the next one begins anew.
    pub wrapped: bool,
}

impl Scrubbed {
    /// How long to wait after this step so that no more than `rate` bytes a second are read.
    pub fn pause(&self, rate: u64) -> Duration {
        Duration::from_secs_f64(self.bytes as f64 / rate.max(1) as f64)
    }
}

/// Where the scrub goes on.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    segment: u32,
    offset: u64,
}

impl Store {
    /// Checks about `budget` bytes of records, oldest segment first, going on where the last step ended. A bad record is
    /// set aside and answered as absent. Run it at a rate of choice with [`Scrubbed::pause`].
    ///
    /// # Errors
    /// When the disk fails.
    pub fn scrub_step(&self, budget: u64) -> Result<Scrubbed> {
        let mut progress = self.inner.scrubbing.lock();
        let mut done = Scrubbed::default();
        loop {
            let ids = self.core().heat.ids();
            let Some(id) = ids.into_iter().find(|id| *id >= progress.segment) else {
                *progress = Progress::default();
                done.wrapped = true;
                return Ok(done);
            };
            if id != progress.segment {
                *progress = Progress { segment: id, offset: SEGMENT_HEADER.len() as u64 };
            }
            if self.scrub_segment(&mut progress, budget, &mut done)? {
                *progress = Progress { segment: id + 1, offset: 0 };
            }
            if done.bytes >= budget {
                return Ok(done);
            }
        }
    }

    /// Checks records of one segment; true when its end was reached.
    fn scrub_segment(&self, progress: &mut Progress, budget: u64, done: &mut Scrubbed) -> Result<bool> {
        let core = self.core();
        if let Some(archive) = &core.archive
            && let Some(length) = core.files.stub(progress.segment)
        {
            // Its chunks are checked when they are read. Here it is only seen that they are there.
            done.bytes += length;
            if archive.stored(progress.segment).is_none_or(|row| archive.is_there(&row) == Some(false)) {
                core.object_vanished(progress.segment);
                done.bad += 1;
            }
            return Ok(true);
        }
        let path = segment_path(progress.segment);
        let offset = progress.offset.max(SEGMENT_HEADER.len() as u64);
        let rows = Rows::new(core);
        // The active segment grows while this reads: only what is published counts.
        let Some(row) = rows.segment(progress.segment)? else { return Ok(true) };
        let Some(file) = core.segment_file(progress.segment)? else { return Ok(true) };
        let mut scanner = Scanner::new(&*file, offset, row.length);
        while done.bytes < budget {
            let Some(step) = scanner.next().at("scrub segment", &path)? else { return Ok(true) };
            done.records += 1;
            match step {
                Step::Record { offset, header, body } => {
                    done.bytes += header.record_len();
                    let bad = match (body, header.kind) {
                        (Ok(body), RecordKind::Chunk) => header.open_chunk(&body).err(),
                        (Ok(_), _) => None,
                        (Err(bad), _) => Some(bad),
                    };
                    if let Some(bad) = bad {
                        done.bad += 1;
                        self.set_aside(progress.segment, offset, &header.hash, bad)?;
                    }
                }
                Step::Broken { offset, reason } => {
                    done.bad += 1;
                    tracing::warn!(segment = progress.segment, offset, %reason, "a record's header is damaged");
                    let Some(next) = step_over(&*file, offset, row.length).at("scrub segment", &path)? else {
                        // What lies behind is found through the index, and checked when it is read.
                        return Ok(true);
                    };
                    done.bytes += next - offset;
                    scanner.seek(next);
                }
            }
            progress.offset = scanner.offset();
        }
        Ok(scanner.offset() >= row.length)
    }

    fn set_aside(
        &self,
        segment: u32,
        offset: u64,
        hash: &larder_base::ContentHash,
        bad: larder_base::segment::BadRecord,
    ) -> Result<()> {
        let core = self.core();
        if let Some(row) = core.index.get(Table::Blobs, &hash.to_key())? {
            let row = BlobRow::decode(&row)?;
            if row.place.segment == segment && u64::from(row.place.offset) == offset {
                core.quarantine(hash, &row, bad);
            }
        }
        Ok(())
    }
}
