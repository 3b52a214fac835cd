//! A disk in memory that fails, tears and forgets as a test asks.
//!
//! It keeps two images: what was written, and what was synced. A power cut leaves the second, with an arbitrary part of
//! the difference: of every unsynced write each sector may be there or not, of unsynced changes of names any first part.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{BLOCK, DirectFile, Disk, DiskFile, ReadAt};

/// What the disk does to the operation whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, once.
    Fail,
    /// It and all later ones that need space fail, until [`FaultyDisk::heal`].
    Full,
    /// It fails, once, as for want of space: what a late allocation reports at a sync.
    NoSpace,
    /// It and all later ones fail: the power is gone.
    Cut,
    /// As [`Fault::Cut`], but of a write the first half was handed to the disk.
    Tear,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    Space,
}

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

#[derive(Clone, Default)]
struct Inode {
    written: Vec<u8>,
    synced: Vec<u8>,
    changes: Vec<Change>,
}

impl Inode {
    fn apply(bytes: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Write(offset, data) => {
                let end = *offset as usize + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset as usize..end].copy_from_slice(data);
            }
            Change::Truncate(size) => bytes.resize(*size as usize, 0),
        }
    }
}

#[derive(Clone, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    name_changes: Vec<(String, Option<usize>)>,
    operations: u64,
    fault: Option<(u64, Fault)>,
    dead: bool,
    full: bool,
    no_names: bool,
    no_index: bool,
    no_runs: bool,
    fetched: Vec<Range<u64>>,
    watch: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl State {
    /// Counts an operation that changes something, and lets the fault happen when it is its turn.
    fn step(&mut self, need: Need) -> io::Result<Option<Fault>> {
        if self.dead {
            return Err(io::Error::other("the power is gone"));
        }
        self.operations += 1;
        if let Some(watch) = &self.watch {
            watch();
        }
        let fault = self.fault.filter(|(at, _)| *at == self.operations).map(|(_, fault)| fault);
        match fault {
            Some(Fault::Fail) => return Err(io::Error::other("the disk failed")),
            Some(Fault::NoSpace) => return Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Full) => self.full = true,
            Some(Fault::Cut) => {
                self.dead = true;
                return Err(io::Error::other("the power is gone"));
            }
            Some(Fault::Tear) => self.dead = true,
            None => {}
        }
        if self.full && need == Need::Space {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(fault)
    }

    fn rename(&mut self, path: &str, inode: Option<usize>) {
        match inode {
            Some(inode) => self.names.insert(path.to_owned(), inode),
            None => self.names.remove(path),
        };
        self.name_changes.push((path.to_owned(), inode));
    }

    fn find(&self, path: &str) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The disk.
#[derive(Clone, Default)]
pub(crate) struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

impl FaultyDisk {
    /// How many operations changed something so far.
    pub(crate) fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// Lets a fault happen at the `after`th changing operation from now, the first being 1.
    pub(crate) fn plan(&self, after: u64, fault: Fault) {
        let mut state = self.state.lock();
        state.fault = Some((state.operations + after, fault));
    }

    /// Calls `look` before every changing operation; it must not use the disk.
    pub(crate) fn watch(&self, look: impl Fn() + Send + Sync + 'static) {
        self.state.lock().watch = Some(Arc::new(look));
    }

    /// The ranges that were asked into memory since this was last called.
    pub(crate) fn take_fetched(&self) -> Vec<Range<u64>> {
        std::mem::take(&mut self.state.lock().fetched)
    }

    /// Whether a new file has no inode.
    pub(crate) fn set_no_names(&self, no_names: bool) {
        self.state.lock().no_names = no_names;
    }

    /// Whether every commit of the index fails.
    pub(crate) fn set_no_index(&self, no_index: bool) {
        self.state.lock().no_index = no_index;
    }

    /// Whether no file of the index can be made.
    pub(crate) fn set_no_runs(&self, no_runs: bool) {
        self.state.lock().no_runs = no_runs;
    }

    /// There is space again.
    pub(crate) fn heal(&self) {
        let mut state = self.state.lock();
        (state.full, state.fault) = (false, None);
    }

    /// The power is gone from now on.
    pub(crate) fn cut(&self) {
        self.state.lock().dead = true;
    }

    /// Whether the power is gone.
    pub(crate) fn is_dead(&self) -> bool {
        self.state.lock().dead
    }

    /// The disk as the next process finds it when only the process died.
    pub(crate) fn after_kill(&self) -> Self {
        let state = self.state.lock();
        let mut state = state.clone();
        (state.dead, state.full, state.fault) = (false, false, None);
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The disk as the next process finds it when the power was cut; `chance` decides what of the unsynced is there.
    pub(crate) fn after_power_cut(&self, chance: &mut dyn FnMut() -> bool) -> Self {
        let state = self.state.lock();
        let mut names = state.synced_names.clone();
        for (path, inode) in &state.name_changes {
            if !chance() {
                break;
            }
            match inode {
                Some(inode) => names.insert(path.clone(), *inode),
                None => names.remove(path),
            };
        }
        let inodes = state.inodes.iter().map(|inode| survivor(inode, chance)).collect();
        let after = State { inodes, synced_names: names.clone(), names, ..State::default() };
        Self { state: Arc::new(Mutex::new(after)) }
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, path: &str) -> Vec<u8> {
        let state = self.state.lock();
        state.inodes[state.find(path).unwrap()].written.clone()
    }

    /// Changes the bytes of a file behind the store's back.
    pub(crate) fn damage(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        let inode = state.find(path).unwrap();
        let inode = &mut state.inodes[inode];
        change(&mut inode.written);
        (inode.synced, inode.changes) = (inode.written.clone(), Vec::new());
    }
}

const SECTOR: usize = 512;

fn survivor(inode: &Inode, chance: &mut dyn FnMut() -> bool) -> Inode {
    let mut bytes = inode.synced.clone();
    for change in &inode.changes {
        match change {
            Change::Truncate(_) if chance() => Inode::apply(&mut bytes, change),
            Change::Truncate(_) => {}
            Change::Write(offset, data) => {
                let mut at = 0;
                while at < data.len() {
                    let sector = SECTOR - (*offset as usize + at) % SECTOR;
                    let end = data.len().min(at + sector);
                    if chance() {
                        Inode::apply(&mut bytes, &Change::Write(offset + at as u64, data[at..end].to_vec()));
                    }
                    at = end;
                }
            }
        }
    }
    Inode { written: bytes.clone(), synced: bytes, changes: Vec::new() }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.step(Need::Space)?;
        if state.no_names || state.no_runs && path.starts_with("index/") {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.rename(path, Some(inode));
        Ok(Arc::new(FaultyFile { disk: self.clone(), inode }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let inode = self.state.lock().find(path)?;
        Ok(Arc::new(FaultyFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step(Need::Nothing)?;
        let inode = state.find(from)?;
        // In this order: a crash may find the file under both names, never under none.
        state.rename(to, Some(inode));
        state.rename(from, None);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step(Need::Nothing)?;
        state.find(path)?;
        state.rename(path, None);
        Ok(())
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        let start = format!("{directory}/");
        Ok(state.names.keys().filter_map(|path| path.strip_prefix(&start).map(str::to_owned)).collect())
    }

    fn make_directory(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&self, directory: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step(Need::Nothing)?;
        let inside = |path: &String| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
        let State { names, synced_names, name_changes, .. } = &mut *state;
        synced_names.retain(|path, _| !inside(path));
        synced_names.extend(names.iter().filter(|(path, _)| inside(path)).map(|(path, inode)| (path.clone(), *inode)));
        name_changes.retain(|(path, _)| !inside(path));
        Ok(())
    }

    fn open_direct(&self, path: &str) -> Option<Arc<dyn DirectFile>> {
        let inode = self.state.lock().find(path).ok()?;
        Some(Arc::new(FaultyFile { disk: self.clone(), inode }))
    }

    fn before_index_commit(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step(Need::Nothing)?;
        if state.no_index { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    inode: usize,
}

impl FaultyFile {
    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        let need = if matches!(change, Change::Write(..)) { Need::Space } else { Need::Nothing };
        let step = state.step(need);
        if let (Err(error), Change::Write(offset, data)) = (&step, &change)
            && error.kind() == io::ErrorKind::StorageFull
        {
            // What there was room for.
            let fits = Change::Write(*offset, data[..data.len() / 2 / SECTOR * SECTOR].to_vec());
            let inode = &mut state.inodes[self.inode];
            Inode::apply(&mut inode.written, &fits);
            inode.changes.push(fits);
        }
        let torn = step? == Some(Fault::Tear);
        let change = match change {
            Change::Write(offset, data) if torn => Change::Write(offset, data[..data.len() / 2].to_vec()),
            change => change,
        };
        let inode = &mut state.inodes[self.inode];
        Inode::apply(&mut inode.written, &change);
        inode.changes.push(change);
        if torn { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }
}

impl DirectFile for FaultyFile {
    fn read_blocks(&self, blocks: &mut [u8], offset: u64) -> io::Result<usize> {
        assert!(blocks.len().is_multiple_of(BLOCK) && offset.is_multiple_of(BLOCK as u64));
        assert_eq!(blocks.as_ptr().align_offset(BLOCK), 0);
        self.read_at(blocks, offset)
    }

    fn write_blocks(&self, blocks: &[u8], offset: u64) -> io::Result<()> {
        assert!(blocks.len().is_multiple_of(BLOCK) && offset.is_multiple_of(BLOCK as u64));
        assert_eq!(blocks.as_ptr().align_offset(BLOCK), 0);
        self.change(Change::Write(offset, blocks.to_vec()))
    }
}

impl ReadAt for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state.lock();
        let bytes = &state.inodes[self.inode].written;
        let from = bytes.len().min(offset as usize);
        let count = buffer.len().min(bytes.len() - from);
        buffer[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    }
}

impl DiskFile for FaultyFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state.lock().inodes[self.inode].written.len() as u64)
    }

    fn read_at_once(&self, _: &mut [u8], _: u64) -> io::Result<Option<usize>> {
        Ok(None)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let data = parts.iter().flat_map(|part| part.iter().copied()).collect();
        self.change(Change::Write(offset, data))
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.change(Change::Truncate(size))
    }

    fn fetch(&self, range: Range<u64>) {
        let length = self.size().unwrap_or(0);
        assert!(range.start < range.end && range.end <= length, "{range:?} of {length} bytes");
        self.disk.state.lock().fetched.push(range);
    }

    fn release(&self) {}

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        let step = state.step(Need::Nothing);
        let is_dead = state.dead;
        let inode = &mut state.inodes[self.inode];
        match step {
            Ok(Some(Fault::Tear)) => Err(io::Error::other("the power is gone")),
            Ok(_) => {
                let Inode { synced, changes, .. } = inode;
                changes.drain(..).for_each(|change| Inode::apply(synced, &change));
                Ok(())
            }
            Err(error) => {
                if !is_dead {
                    // As kernels do: the pages count as clean from now on. They are read until they are dropped, and a
                    // later sync succeeds without them.
                    inode.changes.clear();
                }
                Err(error)
            }
        }
    }
}
