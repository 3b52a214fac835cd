//! The promises of [`Readers`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_base::{
    Clock, DoorName, Entries, EntryAddress, EntryBody, NewEntry, PutIf, PutOutcome, READERS_MAX, Reader, Readers,
    Scope, WRITER_MAX_BYTES,
};

use super::{Case, Keep, cases};
use crate::clock::FakeClock;

/// A fresh tier under test.
pub struct Subject {
    /// The tier; empty.
    pub readers: Arc<dyn Readers>,
    /// The entries that are read.
    pub entries: Arc<dyn Entries>,
    /// The tier's time.
    pub clock: FakeClock,
    /// What it stands on.
    pub keep: Keep,
}

/// Runs the suite; `fresh` makes an empty tier for each case.
///
/// # Panics
/// When a promise is broken, naming each such case.
pub fn check(fresh: impl AsyncFn() -> Subject) {
    super::check("readers", CASES, fresh);
}

const CASES: &[Case<Subject>] = cases![
    case::the_last_readers_are_told_with_time_and_number,
    case::entries_of_other_addresses_have_readers_of_their_own,
    case::what_is_replaced_or_removed_has_no_readers,
    case::nobody_reads_what_is_not_there,
    case::names_are_bounded,
];

impl Subject {
    async fn put(&self, key: &str, content: &'static str) -> u64 {
        let entry = NewEntry {
            body: EntryBody::Value(Bytes::from_static(content.as_bytes())),
            attributes: Default::default(),
            links: Arc::default(),
            writer: "writer".into(),
        };
        match self.entries.put(&address("acme", key), entry, PutIf::Always).await.expect("a good put succeeds") {
            PutOutcome::Stored(entry) => entry.revision,
            other => panic!("{other:?}"),
        }
    }

    async fn told(&self, key: &str, revision: u64) -> Vec<Reader> {
        self.readers.readers(&[(address("acme", key), revision)]).await.expect("it tells").remove(0)
    }
}

fn address(namespace: &str, key: &str) -> EntryAddress {
    let namespace = namespace.parse().expect("the suite's names are valid");
    let key = key.parse().expect("the suite's keys are valid");
    EntryAddress { namespace, scope: Scope::Trusted, door: DoorName::new("ci"), key }
}

mod case {
    use super::{Clock, Duration, READERS_MAX, Reader, Subject, WRITER_MAX_BYTES, address};

    pub(super) async fn the_last_readers_are_told_with_time_and_number(subject: Subject) {
        let revision = subject.put("k", "v").await;
        assert!(subject.told("k", revision).await.is_empty());
        for turn in 0..=READERS_MAX {
            subject.clock.advance(Duration::from_secs(1));
            subject.readers.note(&address("acme", "k"), revision, &format!("reader {turn}"));
        }
        subject.clock.advance(Duration::from_secs(1));
        subject.readers.note(&address("acme", "k"), revision, "reader 1");
        let told = subject.told("k", revision).await;
        assert_eq!(told[0], Reader { name: "reader 1".into(), last: subject.clock.now(), restores: 2 });
        let names: Vec<_> = told.iter().map(|reader| &*reader.name).collect();
        let mut expected = vec!["reader 1".to_owned()];
        expected.extend((2..=READERS_MAX).rev().map(|turn| format!("reader {turn}")));
        assert_eq!(names, expected);
    }

    pub(super) async fn entries_of_other_addresses_have_readers_of_their_own(subject: Subject) {
        let (one, two) = (subject.put("one", "v").await, subject.put("two", "v").await);
        subject.readers.note(&address("acme", "one"), one, "a");
        subject.readers.note(&address("acme", "two"), two, "b");
        let seen = [(address("acme", "two"), two), (address("other", "one"), one), (address("acme", "one"), one)];
        let told = subject.readers.readers(&seen).await.expect("it tells");
        let names: Vec<Vec<_>> =
            told.iter().map(|readers| readers.iter().map(|reader| &*reader.name).collect()).collect();
        assert_eq!(names, [vec!["b"], vec![], vec!["a"]]);
    }

    pub(super) async fn what_is_replaced_or_removed_has_no_readers(subject: Subject) {
        let first = subject.put("k", "v").await;
        subject.readers.note(&address("acme", "k"), first, "a");
        let second = subject.put("k", "w").await;
        assert!(subject.told("k", first).await.is_empty() && subject.told("k", second).await.is_empty());
        subject.readers.note(&address("acme", "k"), second, "a");
        assert_eq!(subject.told("k", second).await.len(), 1);
        subject.entries.delete(&address("acme", "k")).await.expect("a removal succeeds");
        assert!(subject.told("k", second).await.is_empty());
        let third = subject.put("k", "w").await;
        assert!(subject.told("k", third).await.is_empty());
    }

    pub(super) async fn nobody_reads_what_is_not_there(subject: Subject) {
        subject.readers.note(&address("acme", "k"), 1, "a");
        assert!(subject.told("k", 1).await.is_empty());
        assert!(subject.readers.readers(&[]).await.expect("it tells").is_empty());
    }

    pub(super) async fn names_are_bounded(subject: Subject) {
        let revision = subject.put("k", "v").await;
        subject.readers.note(&address("acme", "k"), revision, &"x".repeat(WRITER_MAX_BYTES + 1));
        subject.readers.note(&address("acme", "k"), revision, &"x".repeat(WRITER_MAX_BYTES));
        let told = subject.told("k", revision).await;
        assert_eq!((told.len(), told[0].name.len()), (1, WRITER_MAX_BYTES));
    }
}
