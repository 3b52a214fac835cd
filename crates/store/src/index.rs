//! The index: LMDB below, the [`Overlay`] above it.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use heed::types::Bytes as Raw;
use heed::{Database, Env, EnvOpenOptions, RoTxn, WithTls};
use larder_base::{Error, ErrorKind, Result};

use crate::merged::Merged;
use crate::overlay::Overlay;

mod runs;

pub(crate) use runs::INDEX;

/// The tables of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Blobs,
    Names,
    Entries,
    Links,
    Segments,
    Quarantine,
    Meta,
    Heat,
    Objects,
    Readers,
}

/// All tables, each at the place of its number, with its name in LMDB.
pub(crate) const TABLES: [(Table, &str); 10] = [
    (Table::Blobs, "blobs"),
    (Table::Names, "names"),
    (Table::Entries, "entries"),
    (Table::Links, "links"),
    (Table::Segments, "segments"),
    (Table::Quarantine, "quarantine"),
    (Table::Meta, "meta"),
    (Table::Heat, "heat"),
    (Table::Objects, "objects"),
    (Table::Readers, "readers"),
];

/// Rows of the table `meta`.
pub(crate) mod meta {
    pub(crate) const POSITION: &[u8] = b"position";
    pub(crate) const NEXT_SEGMENT: &[u8] = b"next-segment";
    pub(crate) const NEXT_NAME: &[u8] = b"next-name";
    pub(crate) const REVISION: &[u8] = b"revision";
    pub(crate) const CLEAN: &[u8] = b"clean";
    /// At most so many rows are of records in segments that are no more.
    pub(crate) const STALE: &[u8] = b"stale";
    /// The number of the last run that LMDB has.
    pub(crate) const MERGED: &[u8] = b"merged";
}

/// Rows written in one transaction. In a test so few that crashes fall between two of them.
pub(crate) const ROWS_A_COMMIT: usize = if cfg!(test) { 5 } else { 8192 };

/// Rows of a table above LMDB that are looked up there to count what is in neither or both.
const COUNTED_MAX: u64 = 1000;

/// Address space reserved for the index; not memory and not disk. A row is about 100 bytes.
const MAP_SIZE: usize = 256 << 30;
/// Threads that may read at the same time.
const READERS_MAX: u32 = 2048;

/// Rows by table and key, as of the last published group.
pub(crate) struct Index {
    env: Env,
    tables: [Database<Raw, Raw>; TABLES.len()],
    pub(crate) overlay: Overlay,
    path: PathBuf,
}

impl Index {
    /// Opens the environment in a directory, making it if there is none.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| failed("make index directory", path, error))?;
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_SIZE).max_dbs(TABLES.len() as u32).max_readers(READERS_MAX);
        let env = open_env(&options, path).map_err(|error| failed("open index", path, error))?;
        let mut transaction = env.write_txn().map_err(|error| failed("open index", path, error))?;
        let tables: Vec<_> = TABLES
            .iter()
            .map(|(_, name)| env.create_database(&mut transaction, Some(name)))
            .collect::<heed::Result<_>>()
            .map_err(|error| failed("open index", path, error))?;
        transaction.commit().map_err(|error| failed("open index", path, error))?;
        let tables = tables.try_into().unwrap_or_else(|_| unreachable!("one database a table was made"));
        Ok(Self { env, tables, overlay: Overlay::default(), path: path.to_owned() })
    }

    /// A row.
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>> {
        match self.overlay.get(table, key) {
            Some(row) => Ok(row),
            None => self.get_flushed(table, key),
        }
    }

    /// A row as LMDB has it.
    pub(crate) fn get_flushed(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>> {
        let transaction = self.read()?;
        let row =
            self.tables[table as usize].get(&transaction, key).map_err(|error| self.failed("read index", error))?;
        Ok(row.map(Bytes::copy_from_slice))
    }

    /// Calls `each` with every row whose key begins with `start`, in the order of the keys, until it returns false. `each`
    /// must not read the index: LMDB allows a thread one reading transaction.
    pub(crate) fn scan(
        &self,
        table: Table,
        start: &[u8],
        each: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        // LMDB takes no empty key, not even as a bound.
        let from = if start.is_empty() { Bound::Unbounded } else { Bound::Included(start) };
        self.scan_from(table, from, start, each)
    }

    /// As [`Index::scan`], of all rows with keys beyond one.
    pub(crate) fn scan_after(
        &self,
        table: Table,
        key: &[u8],
        each: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let from = if key.is_empty() { Bound::Unbounded } else { Bound::Excluded(key) };
        self.scan_from(table, from, &[], each)
    }

    fn scan_from(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        start: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let changes = self.overlay.changes(table, from, start);
        let transaction = self.read()?;
        let flushed = self.tables[table as usize]
            .range(&transaction, &(from, Bound::Unbounded))
            .map_err(|error| self.failed("scan index", error))?;
        let flushed = flushed.map(|row| match row {
            Ok((key, row)) => Ok((key, Some(row))),
            Err(error) => Err(self.failed("scan index", error)),
        });
        let mut sources = changes.sources(table, from);
        sources.push(Box::new(flushed));
        for row in Merged::new(sources) {
            let (key, row) = row?;
            if !key.starts_with(start) {
                break;
            }
            if let Some(row) = row
                && !each(key, row)?
            {
                break;
            }
        }
        Ok(())
    }

    /// Deletes those rows of a table that `is_stale`, of at most `most` rows beyond the key `after`, as LMDB has them, and
    /// the rows of these keys in the tables `with`, which have no keys of their own. Nothing may be flushed meanwhile: LMDB
    /// has one writer.
    pub(crate) fn prune(
        &self,
        table: Table,
        after: &[u8],
        most: usize,
        with: &[Table],
        before_commit: &dyn Fn() -> Result<()>,
        mut is_stale: impl FnMut(&Flush<'_>, &[u8]) -> Result<bool>,
    ) -> Result<Pruning> {
        let failed = |error| self.failed("prune index", error);
        let mut flush = self.begin_flush(before_commit)?;
        let from = if after.is_empty() { Bound::Unbounded } else { Bound::Excluded(after) };
        let rows = self.tables[table as usize].range(&flush.transaction, &(from, Bound::Unbounded)).map_err(failed)?;
        // The first and the last key of rows beside each other: to find a row costs more than to delete it.
        let mut runs: Vec<(&[u8], &[u8])> = Vec::new();
        let (mut seen, mut deleted, mut last, mut in_run) = (0, 0, None, false);
        for item in rows.take(most) {
            let (key, row) = item.map_err(failed)?;
            let stale = is_stale(&flush, row)?;
            match runs.last_mut().filter(|_| in_run) {
                Some((_, last)) if stale => *last = key,
                _ if stale => runs.push((key, key)),
                _ => {}
            }
            (in_run, last) = (stale, Some(key));
            seen += 1;
            deleted += u64::from(stale);
        }
        let last = last.filter(|_| seen == most).map(<[u8]>::to_vec);
        let runs: Vec<(Vec<u8>, Vec<u8>)> =
            runs.into_iter().map(|(first, last)| (first.to_vec(), last.to_vec())).collect();
        for table in std::iter::once(&table).chain(with) {
            for (first, last) in &runs {
                flush.delete_range(*table, first, last).map_err(failed)?;
            }
        }
        flush.commit()?;
        Ok(Pruning { deleted, last })
    }

    /// Begins to write to LMDB. `before_commit` is asked before each commit.
    pub(crate) fn begin_flush<'a>(&'a self, before_commit: &'a dyn Fn() -> Result<()>) -> Result<Flush<'a>> {
        let transaction = self.env.write_txn().map_err(|error| self.failed("write index", error))?;
        Ok(Flush { index: self, before_commit, transaction, written: 0 })
    }

    /// Rows of a table: exact while few of them are above LMDB, each of which is looked up; else too many by those that were
    /// replaced there.
    pub(crate) fn count(&self, table: Table) -> Result<u64> {
        let failed = |error| self.failed("count rows", error);
        let (set, deleted) = self.overlay.unmerged_of(table);
        let few = set + deleted <= COUNTED_MAX;
        let changes = few.then(|| self.overlay.changes(table, Bound::Unbounded, &[]));
        let transaction = self.read()?;
        let rows = self.tables[table as usize];
        let mut count = rows.len(&transaction).map_err(failed)?;
        let Some(changes) = changes else { return Ok((count + set).saturating_sub(deleted)) };
        for row in Merged::new(changes.sources(table, Bound::Unbounded)) {
            let (key, row) = row?;
            let was_there = rows.get(&transaction, key).map_err(failed)?.is_some();
            count = count + u64::from(row.is_some()) - u64::from(was_there);
        }
        Ok(count)
    }

    /// Bytes of the pages and runs in use.
    pub(crate) fn used_bytes(&self) -> Result<u64> {
        let runs: usize = self.overlay.runs().iter().map(|run| run.bytes().len()).sum();
        let pages = self.env.non_free_pages_size().map_err(|error| self.failed("measure index", error))?;
        Ok(pages + runs as u64)
    }

    fn read(&self) -> Result<RoTxn<'_, WithTls>> {
        self.env.read_txn().map_err(|error| self.failed("read index", error))
    }

    fn failed(&self, operation: &'static str, error: heed::Error) -> Error {
        failed(operation, &self.path, error)
    }
}

/// What [`Index::prune`] did.
pub(crate) struct Pruning {
    /// Rows deleted, without those in other tables.
    pub(crate) deleted: u64,
    /// The key to go on behind; `None` at the end of the table.
    pub(crate) last: Option<Vec<u8>>,
}

/// A transaction that writes.
pub(crate) struct Flush<'a> {
    index: &'a Index,
    before_commit: &'a dyn Fn() -> Result<()>,
    transaction: heed::RwTxn<'a>,
    /// Rows, in this transaction.
    written: usize,
}

impl Flush<'_> {
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>> {
        let row = self.index.tables[table as usize].get(&self.transaction, key);
        row.map_err(|error| self.index.failed("read index", error))
    }

    pub(crate) fn put(&mut self, table: Table, key: &[u8], row: &[u8]) -> Result<()> {
        self.written += 1;
        let put = self.index.tables[table as usize].put(&mut self.transaction, key, row);
        put.map_err(|error| self.index.failed("write index", error))
    }

    pub(crate) fn delete(&mut self, table: Table, key: &[u8]) -> Result<()> {
        self.written += 1;
        let deleted = self.index.tables[table as usize].delete(&mut self.transaction, key);
        deleted.map(drop).map_err(|error| self.index.failed("write index", error))
    }

    /// Deletes the rows from one key to another, both included.
    fn delete_range(&mut self, table: Table, first: &[u8], last: &[u8]) -> heed::Result<()> {
        let range = (Bound::Included(first), Bound::Included(last));
        self.index.tables[table as usize].delete_range(&mut self.transaction, &range).map(drop)
    }

    pub(crate) fn clear(&mut self, table: Table) -> Result<()> {
        let cleared = self.index.tables[table as usize].clear(&mut self.transaction);
        cleared.map_err(|error| self.index.failed("write index", error))
    }

    pub(crate) fn commit(self) -> Result<()> {
        (self.before_commit)()?;
        self.transaction.commit().map_err(|error| self.index.failed("write index", error))
    }

    /// This transaction, or the next one if it has as many rows as it may have.
    pub(crate) fn with_room(self) -> Result<Self> {
        if self.written < ROWS_A_COMMIT {
            return Ok(self);
        }
        let Flush { index, before_commit, .. } = self;
        self.commit()?;
        index.begin_flush(before_commit)
    }
}

#[expect(unsafe_code, reason = "LMDB maps a file into memory, which is sound only while nobody else changes it")]
fn open_env(options: &EnvOpenOptions<WithTls>, path: &Path) -> heed::Result<Env> {
    // SAFETY: the environment lies in the store's own directory, whose lock this process holds; LMDB's lock file is on
    // the same file system, and nothing in this crate writes to these files but LMDB.
    unsafe { options.open(path) }
}

fn failed(operation: &'static str, path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let source = error.into();
    let full = source.downcast_ref::<heed::Error>().is_some_and(|error| match error {
        heed::Error::Io(error) => error.kind() == std::io::ErrorKind::StorageFull,
        heed::Error::Mdb(error) => matches!(error, heed::MdbError::MapFull),
        _ => false,
    });
    let (kind, hint) = if full {
        (ErrorKind::Full, "free space on the disk, or lower the store's quota")
    } else {
        (ErrorKind::Failed, "stop Larder and run `larder fsck --rebuild` on the directory; the index can be made anew")
    };
    Error::new(kind, operation, path.display().to_string()).with_hint(hint).with_source(source)
}

/// A handle to the index that the threads of the store share.
pub(crate) type SharedIndex = Arc<Index>;
