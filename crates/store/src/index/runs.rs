//! The files of [`Run`]s.
//!
//! LMDB has all rows up to a run, whose number is in the row [`meta::MERGED`]; the files of those beyond it follow each other without a
//! gap. All others are of no meaning: those before it were merged, and where LMDB has no such row they are of an index that
//! is no more. LMDB may have rows of later runs, too, when a merge was cut short; as long as all of these are there they
//! hide what it has.

use std::io::IoSlice;

use bytes::Bytes;
use larder_base::{Error, ErrorKind, Result};

use super::{Index, TABLES, Table, meta};
use crate::codec::Reader;
use crate::disk::{Disk, OnDisk, disk_error, read_exact_at};
use crate::overlay::Layer;
use crate::run::Run;

/// The directory of the runs. LMDB's files are in it, too, so that who deletes one deletes the other.
pub(crate) const INDEX: &str = "index";
/// What the name of a run ends with while it is written.
const UNFINISHED: &str = ".new";

/// The path of a run.
pub(crate) fn run_path(number: u64) -> String {
    format!("{INDEX}/{number:08}.run")
}

fn run_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".run")?.parse().ok()?;
    (run_path(number).strip_prefix(INDEX)?.strip_prefix('/')? == name).then_some(number)
}

/// The numbers of the runs in the directory, in order.
fn numbers(disk: &dyn Disk) -> Result<Vec<u64>> {
    let names = disk.list(INDEX).at("list", INDEX)?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| run_of(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

impl Index {
    /// Takes in the runs that LMDB has not. Changes nothing on the disk.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when they do not go together with LMDB: the index is of no use then.
    pub(crate) fn load_runs(&self, disk: &dyn Disk) -> Result<()> {
        let Some(merged) = self.merged()? else { return Ok(()) };
        let mut position = self.get_flushed(Table::Meta, meta::POSITION)?.unwrap_or_default();
        let mut last = merged;
        for number in numbers(disk)?.into_iter().filter(|number| *number > merged) {
            let path = run_path(number);
            let corrupt = |what: &str| Error::new(ErrorKind::Corrupt, "read index", format!("{path}: {what}"));
            let run =
                Run::decode(read(disk, &path).at("read index", &path)?).map_err(|error| corrupt(error.message()))?;
            if number != last + 1 || run.number != number || run.before() != position {
                return Err(corrupt("does not follow what is before it"));
            }
            last = number;
            if let Some(Some(row)) = run.find(Table::Meta, meta::POSITION) {
                position = row;
            }
            self.overlay.keep(run);
        }
        Ok(())
    }

    /// As [`Index::load_runs`] for a store that goes on from there: what is of no meaning is removed. An index that is of no
    /// use is emptied, to be made anew from the log.
    pub(crate) fn open_runs(&self, disk: &dyn Disk) -> Result<()> {
        let found = numbers(disk)?;
        let last = found.last().copied().unwrap_or_default();
        let loaded = self.load_runs(disk);
        let is_of_no_use = loaded.as_ref().is_err_and(|error| error.kind() == ErrorKind::Corrupt);
        if !is_of_no_use {
            loaded?;
        } else if let Err(error) = loaded {
            tracing::error!(%error, "the index is damaged, and is made anew from the log");
            self.overlay.drop_runs(self.overlay.runs().len());
        }
        if is_of_no_use || self.merged()?.is_none() {
            let before_commit = || disk.before_index_commit().map_err(|error| disk_error("commit index", INDEX, error));
            let mut flush = self.begin_flush(&before_commit)?;
            if is_of_no_use {
                TABLES.iter().try_for_each(|(table, _)| flush.clear(*table))?;
            }
            flush.put(Table::Meta, meta::MERGED, &last.to_le_bytes())?;
            flush.commit()?;
        }
        self.remove_merged(disk)
    }

    /// Writes a layer as a run, durably; the caller has it kept.
    pub(crate) fn write_run(&self, disk: &dyn Disk, layer: &Layer) -> Result<Run> {
        let before = match self.overlay.get_in_runs(Table::Meta, meta::POSITION) {
            Some(row) => row,
            None => self.get_flushed(Table::Meta, meta::POSITION)?,
        };
        let before = before.unwrap_or_default();
        let number = match self.overlay.runs().last() {
            Some(run) => run.number,
            None => self.merged()?.unwrap_or_default(),
        } + 1;
        let run = Run::new(number, &before, layer)?;
        let path = run_path(number);
        let unfinished = format!("{path}{UNFINISHED}");
        let write = || {
            let file = disk.create(&unfinished)?;
            file.write_at(&[IoSlice::new(run.bytes())], 0)?;
            file.sync()?;
            disk.rename(&unfinished, &path)?;
            disk.sync_directory(INDEX)
        };
        write().at("write index", &path)?;
        Ok(run)
    }

    /// Removes the files of runs that LMDB has, and what was never finished.
    pub(crate) fn remove_merged(&self, disk: &dyn Disk) -> Result<()> {
        let merged = self.merged()?.unwrap_or_default();
        for name in disk.list(INDEX).at("list", INDEX)? {
            let is_merged = run_of(&name).is_some_and(|number| number <= merged);
            let is_unfinished = name.strip_suffix(UNFINISHED).is_some_and(|name| run_of(name).is_some());
            if is_merged || is_unfinished {
                let path = format!("{INDEX}/{name}");
                disk.remove(&path).at("remove run", &path)?;
            }
        }
        Ok(())
    }

    /// The number of the last run that LMDB has; `None` when it knows nothing of runs.
    fn merged(&self) -> Result<Option<u64>> {
        let row = self.get_flushed(Table::Meta, meta::MERGED)?;
        row.map(|row| Reader::new(&row, "number in table meta").u64()).transpose()
    }
}

fn read(disk: &dyn Disk, path: &str) -> std::io::Result<Bytes> {
    let file = disk.open(path)?;
    let length = file.size()?;
    let mut bytes = vec![0; usize::try_from(length).map_err(std::io::Error::other)?];
    read_exact_at(&*file, &mut bytes, 0)?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests;
