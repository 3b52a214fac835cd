//! Runs: bytes of segments that hold whole records, all of them asked for; and where a node gets them without this server.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use larder_base::{ContentHash, Located, Result, SegmentRange, TransferUrl};
use larder_cache::DoorCache;
use larder_proto::tier::{Run, RunsAnswer};

use crate::blobs::text_of;

/// The most bytes of a run, if it is not one record: who fetches it by URL holds all of it in memory.
const RUN_BYTES: u64 = 4 << 20;
/// Runs with fewer bytes are not worth a request of their own.
const URL_MIN_BYTES: u64 = 64 << 10;
/// How long a URL is good. A node uses it at once.
pub(crate) const URL_LIFE: Duration = Duration::from_secs(1800);

/// Records that lie one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) range: SegmentRange,
    pub(crate) count: usize,
}

/// The records in the order asked, those joined that touch. What lies between two records is never joined in: it may
/// belong to another namespace.
pub(crate) fn runs(hashes: &[ContentHash], located: &[Located]) -> Vec<Records> {
    let mut places: HashMap<ContentHash, Located> = located.iter().map(|at| (at.digest.hash, *at)).collect();
    let mut runs: Vec<Records> = Vec::new();
    // Taken out, so that a hash that was asked for twice is sent once.
    for Located { segment, offset, length, .. } in hashes.iter().filter_map(|hash| places.remove(hash)) {
        match runs.last_mut() {
            Some(Records { range, count })
                if range.segment == segment
                    && range.offset + range.length == offset
                    && range.length + length <= RUN_BYTES =>
            {
                range.length += length;
                *count += 1;
            }
            _ => runs.push(Records { range: SegmentRange { segment, offset, length }, count: 1 }),
        }
    }
    runs
}

/// The runs, those with a URL that may be fetched elsewhere; `None` when there are no such.
///
/// # Errors
/// Those of the tier.
pub(crate) async fn by_url(
    cache: &DoorCache,
    hashes: &[ContentHash],
    located: &[Located],
    runs: &[Records],
) -> Result<Option<RunsAnswer>> {
    let is_large = |range: &SegmentRange| range.length >= URL_MIN_BYTES;
    let large: Vec<SegmentRange> = runs.iter().map(|run| run.range).filter(is_large).collect();
    if large.is_empty() {
        return Ok(None);
    }
    let urls = cache.read_urls(&large, URL_LIFE).await?;
    if urls.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut urls = urls.into_iter();
    let run = |Records { range, count }: &Records| {
        let url = if is_large(range) { urls.next().flatten() } else { None };
        let (url, headers) = url.map(|TransferUrl { url, headers, .. }| (url, headers)).unzip();
        let headers = headers.into_iter().flatten().collect();
        Run { records: *count, length: range.length, url, headers }
    };
    let runs = runs.iter().map(run).collect();
    let mut there: HashSet<ContentHash> = located.iter().map(|at| at.digest.hash).collect();
    // Put in, so that a hash that was asked for twice is told once.
    let absent = hashes.iter().filter(|hash| there.insert(**hash)).map(text_of).collect();
    Ok(Some(RunsAnswer { runs, absent }))
}

#[cfg(test)]
mod tests;
