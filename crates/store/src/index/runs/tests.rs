use std::sync::Arc;
use std::sync::atomic::Ordering;

use larder_base::{Access, PutIf};

use super::*;
use crate::committer::Terms;
use crate::disk::faulty::FaultyDisk;
use crate::fsck;
use crate::group::Group;
use crate::tests::support::*;
use crate::{Options, Store};

/// A store that made a run for each of some entries, and the disk that it is on.
struct Fixture {
    dir: tempfile::TempDir,
    disk: FaultyDisk,
    store: Option<Store>,
    entries: usize,
}

impl Fixture {
    /// With so many runs, which is fewer than are merged.
    fn new(runs: usize) -> Self {
        let mut fixture =
            Self { dir: tempfile::tempdir().unwrap(), disk: FaultyDisk::default(), store: None, entries: 0 };
        fixture.open();
        (0..runs).for_each(|_| fixture.put_in_run());
        assert_eq!(fixture.runs(), (1..=runs as u64).collect::<Vec<_>>());
        fixture
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn open(&mut self) {
        let options: Options = options(self.dir.path());
        self.store = Some(Store::open_on(options, Arc::new(self.disk.clone()), HandClock::new()).unwrap());
    }

    /// The process dies; `meanwhile` something happens to its files.
    fn kill(&mut self, meanwhile: impl FnOnce(&FaultyDisk)) {
        self.store = None;
        self.disk = self.disk.after_kill();
        meanwhile(&self.disk);
    }

    /// Puts one more entry that the index knows from a run only.
    fn put_in_run(&mut self) {
        self.put();
        self.store().core().checkpoint().unwrap();
    }

    fn put(&mut self) {
        let content = self.entries.to_string();
        self.store().put_entry(&at(self.entries), value(content), PutIf::Always).unwrap();
        self.entries += 1;
    }

    /// The runs that the disk has.
    fn runs(&self) -> Vec<u64> {
        numbers(&self.disk).unwrap()
    }

    fn replayed(&self) -> u64 {
        self.store().recovery().replayed_records
    }

    fn has_all(&self) {
        for number in 0..self.entries {
            let entry = self.store().get_entry(&at(number), Access::Check).unwrap().unwrap();
            assert_eq!(entry.inline.unwrap(), number.to_string());
        }
        let listed = self.store().status().unwrap().entries;
        assert_eq!(listed, self.entries as u64);
    }
}

fn at(number: usize) -> larder_base::EntryAddress {
    address("a", "trusted", "test", &format!("key-{number}"))
}

#[test]
fn what_a_run_has_is_not_read_again_from_the_log() {
    let mut fixture = Fixture::new(2);
    fixture.kill(|_| ());
    fixture.open();
    assert_eq!((fixture.replayed(), fixture.runs()), (0, vec![1, 2]));
    fixture.has_all();
    fixture.put();
    fixture.kill(|_| ());
    fixture.open();
    assert!(fixture.replayed() > 0);
    fixture.has_all();
}

#[test]
fn runs_are_merged_when_they_are_many_and_the_next_ones_go_on_from_there() {
    let mut fixture = Fixture::new(2);
    fixture.put_in_run();
    assert_eq!(fixture.runs(), [] as [u64; 0], "three are merged in a test");
    assert_eq!(fixture.store().core().index.overlay.unmerged(), 0);
    fixture.put_in_run();
    assert_eq!(fixture.runs(), [4]);
    fixture.kill(|_| ());
    fixture.open();
    assert_eq!(fixture.replayed(), 0);
    fixture.has_all();
}

#[test]
fn a_merge_that_fails_at_any_step_is_made_again_whoever_makes_it() {
    let fixture = || {
        let mut fixture = Fixture::new(2);
        fixture.put();
        fixture.store().core().write_run().unwrap();
        fixture
    };
    let merge = |fixture: &Fixture| fixture.store().core().merge_runs(|flush| Ok(flush));
    let whole = fixture();
    let begun = whole.disk.operations();
    merge(&whole).unwrap();
    let steps = whole.disk.operations() - begun;
    assert!(steps > 3 + 3, "some commits and three files removed: {steps}");
    for (is_killed, step) in
        [false, true].into_iter().flat_map(|is_killed| (1..=steps).map(move |step| (is_killed, step)))
    {
        let mut fixture = fixture();
        fixture.disk.plan(step, crate::disk::faulty::Fault::Fail);
        // A file that cannot be removed is no failure.
        let is_merged = merge(&fixture).is_ok();
        fixture.has_all();
        if is_killed {
            fixture.kill(|_| ());
            fixture.open();
            assert_eq!(fixture.replayed(), 0, "step {step}");
        }
        fixture.put_in_run();
        if !is_merged {
            assert_eq!(fixture.runs(), [] as [u64; 0], "step {step}");
        }
        fixture.has_all();
        fixture.kill(|_| ());
        fixture.open();
        fixture.has_all();
    }
}

#[test]
fn a_damaged_or_missing_run_has_the_index_made_anew_and_is_told_of_by_a_check() {
    let flip = |disk: &FaultyDisk, number| {
        disk.damage(&run_path(number), |bytes| *bytes.last_mut().unwrap() ^= 1);
    };
    type Damage<'a> = &'a dyn Fn(&FaultyDisk);
    let damages: [(&str, Damage<'_>); 5] = [
        ("the first is damaged", &|disk| flip(disk, 4)),
        ("the last is damaged", &|disk| flip(disk, 6)),
        ("the first is missing", &|disk| disk.remove(&run_path(4)).unwrap()),
        ("one that changes no position is missing", &|disk| disk.remove(&run_path(5)).unwrap()),
        ("one has another's name", &|disk| disk.rename(&run_path(4), &run_path(6)).unwrap()),
    ];
    for (what, damage) in damages {
        // Behind what LMDB has, as the runs alone do not tell of that.
        let mut fixture = Fixture::new(2);
        fixture.put_in_run();
        fixture.put_in_run();
        let core = fixture.store().core();
        let set_aside = |group: &mut Group<'_>| {
            group.set(Table::Quarantine, b"unlogged", Bytes::from_static(b"row"));
            Ok(())
        };
        core.queue.call(Terms::housekeeping(0).unsynced(), set_aside).unwrap();
        core.write_run().unwrap();
        fixture.put();
        fixture.store().core().write_run().unwrap();
        assert_eq!(fixture.runs(), [4, 5, 6]);
        fixture.put();
        fixture.kill(damage);
        let report = fsck::check_on(fixture.dir.path(), &fixture.disk).unwrap();
        assert!(report.index_damaged && !report.is_sound(), "{what}: {report:?}");
        assert!(report.problems[0].contains("index/0000000"), "{what}: {report:?}");
        fixture.open();
        assert!(fixture.replayed() > 6, "{what}");
        fixture.has_all();
        assert_eq!(fixture.runs(), [] as [u64; 0], "{what}");
        fixture.put_in_run();
        fixture.kill(|_| ());
        let report = fsck::check_on(fixture.dir.path(), &fixture.disk).unwrap();
        assert!(report.is_sound(), "{what}: {report:?}");
        fixture.open();
        fixture.has_all();
    }
}

#[test]
fn runs_of_an_index_that_is_no_more_are_of_no_meaning() {
    let mut fixture = Fixture::new(2);
    let index = fixture.dir.path().join(INDEX);
    fixture.kill(|_| std::fs::remove_dir_all(index).unwrap());
    fixture.open();
    assert_eq!(fixture.runs(), [] as [u64; 0]);
    fixture.has_all();
    fixture.put_in_run();
    assert_eq!(fixture.runs(), [3], "no number comes again");
}

#[test]
fn runs_that_an_older_version_went_past_are_not_laid_over_what_it_wrote() {
    let mut fixture = Fixture::new(2);
    let path = fixture.dir.path().join(INDEX);
    let replaced = at(0);
    fixture.store().put_entry(&replaced, value("newer"), PutIf::Always).unwrap();
    fixture.kill(|_| {
        // It reads the log to its end, and knows nothing of runs.
        let index = Index::open(&path).unwrap();
        let mut flush = index.begin_flush(&|| Ok(())).unwrap();
        flush.put(Table::Meta, meta::POSITION, b"another position").unwrap();
        flush.commit().unwrap();
    });
    fixture.open();
    let entry = fixture.store().get_entry(&replaced, Access::Check).unwrap().unwrap();
    assert_eq!(entry.inline.unwrap(), "newer");
    assert_eq!(fixture.runs(), [] as [u64; 0]);
}

#[test]
fn a_run_that_could_not_be_written_is_tried_again_with_what_came_since() {
    let mut fixture = Fixture::new(1);
    // The sync of the log, then the file, its bytes, their sync, its name and the sync of that.
    for step in 1..=6 {
        fixture.put();
        fixture.disk.plan(step, crate::disk::faulty::Fault::NoSpace);
        let core = fixture.store().core();
        let failed = core.checkpoint();
        if step == 1 {
            assert!(core.health.check("write").is_err(), "after a failed sync nothing is written");
            fixture.kill(|_| ());
            fixture.open();
            continue;
        }
        failed.unwrap_err();
        assert!(core.health.index_failing.load(Ordering::Relaxed), "step {step}");
        fixture.has_all();
        fixture.put();
        fixture.store().checkpoint().unwrap();
        assert!(!fixture.store().core().health.index_failing.load(Ordering::Relaxed));
        fixture.has_all();
        fixture.kill(|_| ());
        fixture.open();
        assert_eq!(fixture.replayed(), 0, "step {step}");
        fixture.has_all();
    }
}
