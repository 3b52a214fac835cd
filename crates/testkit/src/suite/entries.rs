//! The promises of [`Entries`].

mod apart;
mod conditions;
mod keys;
mod listing;
mod loss;
mod needs;
mod times;
mod values;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_base::{
    Access, Attributes, Blobs, BoxFuture, ByteRange, ContentHash, Digest, DoorName, Entries, Entry, EntryAddress,
    EntryBody, EntryPrefix, ListPage, Listed, Namespace, NewEntry, PutIf, PutOutcome, Scope, collect, stream_of,
};

use super::{Case, Keep, cases};
use crate::clock::FakeClock;

/// A fresh tier under test.
pub struct Subject {
    /// The tier; empty.
    pub entries: Arc<dyn Entries>,
    /// Where the blobs are that its entries name.
    pub blobs: Arc<dyn Blobs>,
    /// The clock that the tier takes its time from.
    pub clock: FakeClock,
    /// What it stands on.
    pub keep: Keep,
}

/// Makes a blob absent, as eviction or damage would; resolves when it is.
pub type Lose = Box<dyn Fn(Namespace, ContentHash) -> BoxFuture<'static, ()> + Send + Sync>;

/// Runs the suite; `fresh` makes an empty tier for each case.
///
/// # Panics
/// When a promise is broken, naming each such case.
pub fn check(fresh: impl AsyncFn() -> Subject) {
    super::check("entries", CASES, fresh);
}

/// Runs the cases of blobs that disappear, for a tier whose blobs can be made to.
///
/// # Panics
/// When a promise is broken, naming each such case.
pub fn check_loss(fresh: impl AsyncFn() -> (Subject, Lose)) {
    super::check("entries", LOSS_CASES, fresh);
}

const CASES: &[Case<Subject>] = cases![
    values::an_absent_entry_is_none,
    values::an_entry_reads_back_as_it_was_put,
    values::a_value_of_any_size_up_to_a_chunk_is_stored_with_its_entry,
    values::a_stored_value_of_any_size_may_be_named,
    values::a_value_larger_than_a_chunk_is_too_large_and_leaves_nothing,
    values::attributes_of_any_text_read_back,
    values::attributes_beyond_their_limit_are_too_large,
    values::a_writer_beyond_its_limit_is_too_large,
    values::many_links_keep_their_order,
    conditions::the_first_write_wins_where_nothing_may_be_there,
    conditions::always_replaces,
    conditions::unchanged_replaces_the_revision_it_names,
    conditions::unchanged_keeps_what_has_changed,
    conditions::unchanged_keeps_nothing_where_nothing_is,
    conditions::no_revision_comes_twice_at_one_address,
    conditions::of_racing_first_writes_one_wins_and_the_others_learn_which,
    conditions::of_racing_changes_to_one_revision_one_wins,
    conditions::a_deleted_entry_is_gone_and_only_once,
    needs::a_stored_value_that_is_absent_is_incomplete,
    needs::every_absent_link_is_named_and_no_other,
    needs::a_blob_of_another_namespace_does_not_complete_an_entry,
    needs::a_stored_value_of_another_size_is_not_accepted,
    needs::an_incomplete_put_leaves_what_was_there,
    needs::what_was_incomplete_is_stored_once_its_blobs_are_there,
    keys::keys_match_exactly,
    keys::prefixes_mean_themselves_whatever_their_characters,
    keys::long_keys_that_begin_alike_are_apart,
    apart::namespaces_are_apart,
    apart::scopes_are_apart,
    apart::doors_are_apart,
    listing::the_newest_comes_first,
    listing::of_one_moment_the_later_written_comes_first,
    listing::a_replaced_entry_is_as_new_as_its_last_write,
    listing::a_line_has_everything_but_links_and_inline_value,
    listing::pages_of_any_length_give_the_whole_listing_once,
    listing::pages_are_stable_while_entries_come_and_go,
    listing::a_filter_leaves_out_all_other_scopes_and_doors,
    listing::a_cursor_that_no_page_gave_is_invalid,
    times::serving_counts_as_use_and_checking_does_not,
    times::listing_touches_nothing,
];

const LOSS_CASES: &[Case<(Subject, Lose)>] = cases![
    loss::an_entry_whose_link_is_lost_is_none_and_removed,
    loss::an_entry_whose_value_is_lost_is_none_and_removed,
    loss::a_listing_shows_an_incomplete_entry_until_it_is_read,
    loss::the_place_of_an_incomplete_entry_can_be_written_again,
];

const DOOR: DoorName = DoorName::new("suite");
const MINUTE: Duration = Duration::from_secs(60);

fn namespace(name: &str) -> Namespace {
    name.parse().expect("the suite's names are valid")
}

fn at(key: &str) -> EntryAddress {
    let key = key.parse().expect("the suite's keys are valid");
    EntryAddress { namespace: namespace("ns"), scope: Scope::Trusted, door: DOOR, key }
}

/// Every entry of the suite's door and scope whose key begins so.
fn beginning(prefix: &str) -> EntryPrefix {
    EntryPrefix { namespace: namespace("ns"), scope: Some(Scope::Trusted), door: Some(DOOR), prefix: prefix.to_owned() }
}

fn value(content: &Bytes) -> NewEntry {
    with_links(EntryBody::Value(content.clone()), &[])
}

/// A value that differs between any two numbers.
fn numbered(number: u64) -> NewEntry {
    value(&Bytes::from(format!("value {number}")))
}

fn with_links(body: EntryBody, links: &[ContentHash]) -> NewEntry {
    NewEntry { body, attributes: Attributes::new(), links: links.into(), writer: "suite".to_owned() }
}

fn keys(lines: &[Listed]) -> Vec<&str> {
    lines.iter().map(|line| line.address.key.as_str()).collect()
}

/// The entry but for the inline value, which a tier may leave out of any answer.
fn without_inline(entry: &Entry) -> Entry {
    Entry { inline: None, ..entry.clone() }
}

impl Subject {
    async fn put(&self, address: &EntryAddress, entry: NewEntry, condition: PutIf) -> PutOutcome {
        self.entries.put(address, entry, condition).await.expect("a good put succeeds")
    }

    async fn store(&self, address: &EntryAddress, entry: NewEntry) -> Entry {
        match self.put(address, entry, PutIf::Always).await {
            PutOutcome::Stored(entry) => entry,
            other => panic!("{} should have been stored: {other:?}", address.key),
        }
    }

    /// Stores an entry at each of these keys, in order.
    async fn store_all(&self, keys: &[&str]) {
        for (number, key) in keys.iter().enumerate() {
            self.store(&at(key), numbered(number as u64)).await;
        }
    }

    async fn get(&self, address: &EntryAddress) -> Option<Entry> {
        self.entries.get(address, Access::Check).await.expect("a get succeeds")
    }

    async fn list(&self, prefix: &EntryPrefix, after: Option<&str>, limit: usize) -> ListPage {
        let page = self.entries.list(prefix, after, limit).await.expect("a listing succeeds");
        assert!(page.entries.len() <= limit, "{} lines where at most {limit} were asked for", page.entries.len());
        page
    }

    async fn list_all(&self, prefix: &EntryPrefix) -> Vec<Listed> {
        let page = self.list(prefix, None, 10_000).await;
        assert_eq!(page.next, None, "a listing that was not cut has no next page");
        page.entries
    }

    /// The keys that begin so, in the order of keys.
    async fn keys_beginning(&self, prefix: &str) -> Vec<String> {
        let mut keys: Vec<_> = keys(&self.list_all(&beginning(prefix)).await).into_iter().map(str::to_owned).collect();
        keys.sort_unstable();
        keys
    }

    async fn put_blob(&self, namespace: &Namespace, content: &Bytes) -> Digest {
        let body = stream_of(content.clone());
        self.blobs.put(namespace, None, None, body).await.expect("a good put succeeds")
    }

    async fn read_blob(&self, namespace: &Namespace, digest: Digest) -> Bytes {
        let blob = self.blobs.get(namespace, &digest.hash, ByteRange::ALL).await.expect("a get succeeds");
        let blob = blob.unwrap_or_else(|| panic!("{digest} should be present"));
        let limit = usize::try_from(digest.size).expect("the suite's blobs fit in memory");
        collect(blob.body, limit).await.expect("the body is whole and no longer than the blob")
    }
}
