use bytes::Bytes;
use larder_base::chunk::MAX_LEN;
use larder_base::{
    AT_HAND_MAX_BYTES, ATTRIBUTES_MAX_BYTES, Access, Attributes, Clock as _, ContentHash, Digest, Entry, EntryBody,
    ErrorKind, INLINE_MAX_BYTES, NewEntry, PutIf, WRITER_MAX_BYTES,
};

use super::{Subject, at, namespace, numbered, value, with_links, without_inline};
use crate::content::noise;

pub(super) async fn an_absent_entry_is_none(subject: Subject) {
    for access in [Access::Serve, Access::Check] {
        let entry = subject.entries.get(&at("never put"), access).await.expect("a get succeeds");
        assert_eq!(entry, None);
    }
}

pub(super) async fn an_entry_reads_back_as_it_was_put(subject: Subject) {
    let content = noise(1, 100);
    let links = [subject.put_blob(&namespace("ns"), &noise(2, 10)).await.hash];
    let attributes = Attributes::from([("content-type".to_owned(), "text/plain".to_owned())]);
    let body = EntryBody::Value(content.clone());
    let new = NewEntry { body, attributes: attributes.clone(), links: links.into(), writer: "someone".to_owned() };
    let stored = subject.store(&at("key"), new).await;
    let now = subject.clock.now();
    let expected = Entry {
        blob: Digest::of(&content),
        inline: None,
        attributes,
        links: links.into(),
        writer: "someone".to_owned(),
        created: now,
        last_served: now,
        revision: stored.revision,
    };
    assert_eq!(without_inline(&stored), expected);
    for access in [Access::Check, Access::Serve] {
        let read = subject.entries.get(&at("key"), access).await.expect("a get succeeds").expect("it was put");
        assert_eq!(without_inline(&read), expected);
        inline_is_right(&read, &content);
    }
}

pub(super) async fn a_value_of_any_size_up_to_a_chunk_is_stored_with_its_entry(subject: Subject) {
    let around = |most: usize| [most - 1, most, most + 1];
    let lens = [0, 1].into_iter().chain(around(INLINE_MAX_BYTES)).chain(around(AT_HAND_MAX_BYTES));
    for len in lens.chain([100_000, MAX_LEN]) {
        let content = noise(1, len);
        let address = at(&format!("{len} bytes"));
        let stored = subject.store(&address, value(&content)).await;
        inline_is_right(&stored, &content);
        let read = subject.get(&address).await.expect("it was put");
        assert_eq!(read.blob, Digest::of(&content));
        inline_is_right(&read, &content);
        let served = subject.entries.get(&address, Access::Serve).await.expect("a get succeeds");
        value_at_hand_is_right(&served.expect("it was put"), &content);
        let blob = subject.read_blob(&address.namespace, read.blob).await;
        assert!(blob == content, "the value of {len} bytes is another as a blob");
    }
}

pub(super) async fn a_stored_value_of_any_size_may_be_named(subject: Subject) {
    for len in [0, 1, INLINE_MAX_BYTES, INLINE_MAX_BYTES + 1, MAX_LEN + 1] {
        let content = noise(1, len);
        let digest = subject.put_blob(&namespace("ns"), &content).await;
        let address = at(&format!("{len} bytes"));
        let stored = subject.store(&address, with_links(EntryBody::Stored(digest), &[])).await;
        let read = subject.get(&address).await.expect("it was put");
        for entry in [stored, read] {
            assert_eq!(entry.blob, digest);
            inline_is_right(&entry, &content);
        }
        let served = subject.entries.get(&address, Access::Serve).await.expect("a get succeeds");
        value_at_hand_is_right(&served.expect("it was put"), &content);
    }
}

pub(super) async fn a_value_larger_than_a_chunk_is_too_large_and_leaves_nothing(subject: Subject) {
    let content = noise(1, MAX_LEN + 1);
    is_too_large(&subject, value(&content)).await;
    let hash = ContentHash::of(&content);
    assert_eq!(subject.blobs.missing(&namespace("ns"), &[hash]).await.expect("missing succeeds"), [hash]);
}

pub(super) async fn attributes_of_any_text_read_back(subject: Subject) {
    let pairs = [("", ""), ("empty", ""), ("ü", "日本語"), ("a=b&c", "%_*\"'\\\n\t\0"), ("A", "1"), ("a", "2")];
    let attributes: Attributes = pairs.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    let new = NewEntry { attributes: attributes.clone(), writer: "Ünïcode 日本".to_owned(), ..numbered(1) };
    subject.store(&at("key"), new).await;
    let read = subject.get(&at("key")).await.expect("it was put");
    assert_eq!((read.attributes, read.writer.as_str()), (attributes, "Ünïcode 日本"));
}

pub(super) async fn attributes_beyond_their_limit_are_too_large(subject: Subject) {
    let with_bytes = |bytes: usize| {
        let attributes = Attributes::from([("name".to_owned(), "x".repeat(bytes - 8)), ("more".to_owned(), "".into())]);
        NewEntry { attributes, ..numbered(1) }
    };
    is_too_large(&subject, with_bytes(ATTRIBUTES_MAX_BYTES + 1)).await;
    let most = with_bytes(ATTRIBUTES_MAX_BYTES);
    subject.store(&at("key"), most.clone()).await;
    assert_eq!(subject.get(&at("key")).await.expect("it was put").attributes, most.attributes);
}

pub(super) async fn a_writer_beyond_its_limit_is_too_large(subject: Subject) {
    let written_by = |bytes: usize| NewEntry { writer: "w".repeat(bytes), ..numbered(1) };
    is_too_large(&subject, written_by(WRITER_MAX_BYTES + 1)).await;
    subject.store(&at("key"), written_by(WRITER_MAX_BYTES)).await;
    assert_eq!(subject.get(&at("key")).await.expect("it was put").writer.len(), WRITER_MAX_BYTES);
}

pub(super) async fn many_links_keep_their_order(subject: Subject) {
    let mut links = Vec::new();
    for seed in 0..300 {
        links.push(subject.put_blob(&namespace("ns"), &noise(seed, 20)).await.hash);
    }
    subject.store(&at("key"), with_links(EntryBody::Value(Bytes::new()), &links)).await;
    assert_eq!(subject.get(&at("key")).await.expect("it was put").links[..], links[..]);
}

/// A tier may leave the inline value out; what it gives is right, and never longer than allowed.
fn inline_is_right(entry: &Entry, content: &Bytes) {
    carried_value_is_right(entry, content, INLINE_MAX_BYTES);
}

/// As [`inline_is_right`], of an entry that was read to be served.
fn value_at_hand_is_right(entry: &Entry, content: &Bytes) {
    carried_value_is_right(entry, content, AT_HAND_MAX_BYTES);
}

fn carried_value_is_right(entry: &Entry, content: &Bytes, most: usize) {
    if let Some(inline) = &entry.inline {
        assert!(inline == content, "the inline value is another than the value of {} bytes", content.len());
        assert!(inline.len() <= most, "an inline value of {} bytes", inline.len());
    }
}

async fn is_too_large(subject: &Subject, entry: NewEntry) {
    let refused = subject.entries.put(&at("refused"), entry, PutIf::Always).await.map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::TooLarge));
    assert_eq!(subject.get(&at("refused")).await, None, "a refused entry is there");
}
