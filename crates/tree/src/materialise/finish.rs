//! The end of a restore: further names, links, and what directories themselves look like.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::Ordering;

use larder_base::{Clock, Result, Timestamp};

use super::building::draft_name;
use super::{Materialiser, Restored};
use crate::compare::Standing;
use crate::handles::{DirId, ROOT, stat_at};
use crate::memory::Memory;
use crate::parallel;
use crate::stat::{FileStat, NodeKind};

/// What became of a link or a further name.
enum Made {
    New,
    Kept,
    /// The file that it is another name of is not there.
    Nameless,
    Refused,
}

impl Materialiser<'_> {
    /// Ends the restore: makes further names and links, sets the modes and times of directories, and removes the drafts of
    /// files whose chunks did not all come; those files are as they were.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub fn finish(mut self, clock: &dyn Clock) -> Result<Restored> {
        let mut report = Restored {
            files_written: 0,
            files_touched: 0,
            files_kept: 0,
            links_made: 0,
            incomplete: Vec::new(),
            refusals: Vec::new(),
            memories: Vec::new(),
        };
        let mut unfinished = HashSet::new();
        for (number, building) in self.buildings.iter().enumerate() {
            if building.is_unfinished() {
                unfinished.insert((building.place, building.file));
                let planned = self.planned(number);
                report.incomplete.push(self.places[building.place].site.display(planned.dir, &planned.name));
                self.abandon(number);
            }
        }
        for place in 0..self.places.len() {
            self.make_names(place, &unfinished, &mut report)?;
            self.make_links(place, &mut report)?;
            self.settle_directories(place)?;
        }
        let now = clock.now();
        for place in 0..self.places.len() {
            let memory = self.remember(place, now, &mut report);
            report.memories.push((self.places[place].site.root.name.clone(), memory));
        }
        report.refusals = std::mem::take(&mut *self.refusals.lock());
        report.refusals.sort();
        report.incomplete.sort();
        Ok(report)
    }

    /// Makes the further names that were not made when their file was put in its place.
    fn make_names(&self, place: usize, unfinished: &HashSet<(usize, usize)>, report: &mut Restored) -> Result<()> {
        let site = &self.places[place].site;
        let names: Vec<usize> = (0..site.files.len()).filter(|file| site.root.files[*file].same_as.is_some()).collect();
        let made = parallel::map(self.threads, names.len(), |number| {
            let file = names[number];
            if self.places[place].done[file].lock().is_some() {
                return Ok(Made::New);
            }
            let planned = &site.root.files[file];
            if self.places[place].dirs[planned.dir as usize].is_refused {
                return Ok(Made::Refused);
            }
            let made = self.make_name(place, file);
            made.or_else(|error| self.refuse_link(place, planned.dir, &planned.name, &error))
        });
        for (file, made) in names.into_iter().zip(made) {
            self.progress.files_done.add(1);
            match made? {
                Made::New => report.links_made += 1,
                Made::Kept => report.files_kept += 1,
                Made::Refused => {}
                Made::Nameless => {
                    let planned = &site.root.files[file];
                    let path = site.display(planned.dir, &planned.name);
                    let first = planned.same_as.expect("only further names are made here");
                    if unfinished.contains(&(place, first)) {
                        report.incomplete.push(path);
                    } else {
                        let first = &site.root.files[first];
                        let reason =
                            format!("its other name {} could not be made", site.display(first.dir, &first.name));
                        self.refuse(path, reason);
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes the further names of a file that has just been put in its place. What fails is tried and named again at
    /// the end: it does not make the file itself any worse.
    pub(super) fn make_names_of(&self, place: usize, first: usize) {
        for &file in &self.places[place].site.names[first] {
            let is_refused = self.places[place].dirs[self.places[place].site.root.files[file].dir as usize].is_refused;
            if !is_refused && let Ok(Made::New) = self.make_name(place, file) {
                *self.places[place].done[file].lock() = *self.places[place].done[first].lock();
            }
        }
    }

    fn make_name(&self, number: usize, file: usize) -> io::Result<Made> {
        let place = &self.places[number];
        let planned = &place.site.root.files[file];
        let first = planned.same_as.expect("only further names of files are made here");
        let Some(wanted) = *place.done[first].lock() else { return Ok(Made::Nameless) };
        let found = match place.site.files[file] {
            Standing::Linked(found) => found,
            _ => None,
        };
        match found {
            Some(found) if (found.device, found.inode) == (wanted.device, wanted.inode) => return Ok(Made::Kept),
            Some(found) if found.kind == NodeKind::Directory => {
                self.clear_directory(number, planned.dir, &planned.name)?;
            }
            _ => {}
        }
        let first = &place.site.root.files[first];
        let draft = draft_name(place.first_draft + file);
        let (from, to) = (place.directory(first.dir)?, place.directory(planned.dir)?);
        self.changed(number, planned.dir);
        self.edits.link(&from, &first.name, &to, &draft)?;
        self.put_in_place(&to, &draft, &planned.name)?;
        Ok(Made::New)
    }

    /// Makes symbolic links.
    fn make_links(&self, place: usize, report: &mut Restored) -> Result<()> {
        let site = &self.places[place].site;
        let dirs = site.root.dirs.iter().enumerate();
        let links: Vec<(DirId, usize)> =
            dirs.flat_map(|(id, dir)| dir.links.clone().map(move |link| (id as DirId, link))).collect();
        let first_draft = self.places[place].first_draft + site.files.len();
        let made = parallel::map(self.threads, links.len(), |number| {
            let (dir, link) = links[number];
            if self.places[place].dirs[dir as usize].is_refused {
                return Ok(Made::Refused);
            }
            let made = self.make_link(place, dir, link, first_draft + number);
            made.or_else(|error| self.refuse_link(place, dir, &site.root.links[link].name, &error))
        });
        for made in made {
            report.links_made += u64::from(matches!(made?, Made::New));
        }
        Ok(())
    }

    fn make_link(&self, number: usize, dir: DirId, link: usize, draft: usize) -> io::Result<Made> {
        let place = &self.places[number];
        let planned = &place.site.root.links[link];
        let parent = place.directory(dir)?;
        match stat_at(&parent, &*planned.name).map(|found| found.kind) {
            Ok(NodeKind::Symlink) => {
                let target = rustix::fs::readlinkat(&parent, &*planned.name, Vec::new())?;
                if target.as_bytes() == planned.target.as_bytes() {
                    return Ok(Made::Kept);
                }
            }
            Ok(NodeKind::Directory) => self.clear_directory(number, dir, &planned.name)?,
            _ => {}
        }
        let draft = draft_name(draft);
        self.changed(number, dir);
        self.edits.symlink(&planned.target, &parent, &draft)?;
        self.put_in_place(&parent, &draft, &planned.name)?;
        Ok(Made::New)
    }

    fn put_in_place(&self, parent: &rustix::fd::OwnedFd, draft: &str, name: &str) -> io::Result<()> {
        self.edits.rename(parent, draft, name).inspect_err(|_| {
            // What cannot be removed now is removed by the next restore.
            let _ = self.edits.remove(parent, draft);
        })
    }

    fn refuse_link(&self, place: usize, dir: DirId, name: &str, error: &io::Error) -> Result<Made> {
        let path = self.places[place].site.display(dir, name);
        self.fail_if_fatal(&path, error)?;
        self.refuse(path, error.to_string());
        Ok(Made::Refused)
    }

    /// Gives directories their modes and times, children before parents; by now nothing changes in them any more.
    fn settle_directories(&self, number: usize) -> Result<()> {
        let place = &self.places[number];
        for id in (ROOT as usize + 1..place.dirs.len()).rev() {
            if place.dirs[id].is_refused {
                continue;
            }
            if let Err(error) = self.settle_directory(number, id) {
                let path = place.site.path.join(place.site.root.table.path(id as DirId)).display().to_string();
                self.fail_if_fatal(&path, &error)?;
                self.refuse(path, format!("its mode or time cannot be set: {error}"));
            }
        }
        // The root's own state is not part of the saved tree; it gets back what it had.
        if let (true, Some(stat)) = (place.dirs[ROOT as usize].is_opened, place.site.dirs[ROOT as usize]) {
            let restored = place.directory(ROOT).and_then(|root| self.edits.set_directory_mode(&root, stat.mode));
            restored.or_else(|error| self.fail_if_fatal(&place.site.path.display().to_string(), &error))?;
        }
        Ok(())
    }

    fn settle_directory(&self, number: usize, id: usize) -> io::Result<()> {
        let place = &self.places[number];
        let (dir, planned, found) = (&place.dirs[id], &place.site.root.dirs[id], place.site.dirs[id]);
        let handle = || place.directory(id as DirId);
        // A directory that is only on the way to something keeps its mode when it was there before.
        let wanted_mode = if dir.is_new || planned.mtime.is_some() { planned.mode } else { None };
        let mode = wanted_mode.or(found.map(|found| found.mode)).unwrap_or(0o755);
        if dir.is_new || dir.is_opened || found.is_none_or(|found| found.mode != mode) {
            self.edits.set_directory_mode(&*handle()?, mode)?;
        }
        if let Some(mtime) = planned.mtime
            && (dir.is_changed.load(Ordering::Relaxed) || found.is_none_or(|found| found.mtime != mtime))
        {
            self.edits.set_mtime(&*handle()?, mtime)?;
        }
        Ok(())
    }

    /// What the files hold now.
    fn remember(&mut self, number: usize, now: Timestamp, report: &mut Restored) -> Memory {
        let observed = self.observed;
        let place = &mut self.places[number];
        let mut memory = std::mem::take(&mut place.site.memory);
        memory.begin_round();
        for (file, planned) in place.site.root.files.iter().enumerate() {
            let Some(stat) = *place.done[file].lock() else { continue };
            // Every new name changes the time of the file itself, so its state now is what counts; unless somebody else
            // wrote it meanwhile, or put another in its place.
            let has_names = !place.site.names[file].is_empty();
            let stat_now = || {
                let now = has_names.then(|| current(place, planned).ok()).flatten();
                now.filter(|now| now.is_unwritten_since(&stat)).unwrap_or(stat)
            };
            let (stat, since) = match place.site.files[file] {
                Standing::Kept(_) => {
                    report.files_kept += 1;
                    (stat, observed)
                }
                Standing::Touched(_) => {
                    report.files_touched += 1;
                    (stat_now(), now)
                }
                Standing::Written(_) => {
                    report.files_written += 1;
                    (stat_now(), now)
                }
                Standing::Linked(_) => continue,
            };
            // Under each of its names, since any of them may be the one that stays.
            for name in std::iter::once(&file).chain(&place.site.names[file]) {
                let key = place.site.key(&place.site.root.files[*name]);
                memory.record(key, &stat, planned.content.clone(), since);
            }
        }
        memory
    }
}

fn current(place: &super::Place, planned: &crate::plan::PlannedFile) -> io::Result<FileStat> {
    stat_at(&*place.directory(planned.dir)?, &*planned.name)
}
