//! The tier door and its client: together they keep every promise of a tier.

mod direct;

use std::sync::Arc;

use bytes::Bytes;
use larder_base::segment::SEGMENT_HEADER;
use larder_base::{Access, Bulk, ContentHash, Entries, EntryAddress, EntryBody, ErrorKind, NewEntry, PutIf, collect};
use larder_cache::{Cache, Grant, Jobs, Rights, Signer, Tiers, TokenHash};
use larder_door::Section;
use larder_remote::{HttpClient, Policy, UpstreamTier};
use larder_testkit::clock::FakeClock;
use larder_testkit::memory::Memory;
use larder_testkit::suite::{blobs, entries};

/// A server of the door over a memory tier; ended when dropped.
struct Upstream {
    memory: Memory,
    clock: FakeClock,
    url: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    async fn start(rights: Rights) -> Self {
        let clock = FakeClock::default();
        let memory = Memory::new(Arc::new(clock.clone()));
        let tier = Arc::new(memory.clone());
        let tiers = Tiers { blobs: tier.clone(), entries: tier.clone(), segments: tier };
        let shared: Arc<FakeClock> = Arc::new(clock.clone());
        let cache = Cache::new(tiers, rights, Signer::new(&[7; 32]), Jobs::new(shared.clone()), shared);
        let door = door_tier::DOOR;
        let routes = (door.open)(Section::new(door.name, toml::Table::new()), cache.door(door.door_name())).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { memory, clock, url, task }
    }

    fn client(&self, token: Option<&str>) -> UpstreamTier {
        let http = HttpClient::new(Policy::default(), 1);
        UpstreamTier::new(http, self.url.parse().unwrap(), token).unwrap()
    }
}

#[test]
fn a_larder_above_keeps_the_promises_of_blobs() {
    blobs::check(async || {
        let upstream = Upstream::start(Rights::Open).await;
        blobs::Subject { blobs: Arc::new(upstream.client(None)), keep: Box::new(upstream) }
    });
}

#[test]
fn a_larder_above_keeps_the_promises_of_entries() {
    entries::check(async || {
        let upstream = Upstream::start(Rights::Open).await;
        let client = Arc::new(upstream.client(None));
        let clock = upstream.clock.clone();
        entries::Subject { entries: client.clone(), blobs: client, clock, keep: Box::new(upstream) }
    });
    entries::check_loss(async || {
        let upstream = Upstream::start(Rights::Open).await;
        let client = Arc::new(upstream.client(None));
        let (clock, memory) = (upstream.clock.clone(), upstream.memory.clone());
        let subject = entries::Subject { entries: client.clone(), blobs: client, clock, keep: Box::new(upstream) };
        let lose: entries::Lose = Box::new(move |namespace, hash| {
            assert!(memory.forget(&namespace, &hash), "a case loses only what is there");
            Box::pin(std::future::ready(()))
        });
        (subject, lose)
    });
}

fn address(scope: &str) -> EntryAddress {
    EntryAddress {
        namespace: "acme".parse().unwrap(),
        scope: scope.parse().unwrap(),
        door: "ci".parse().unwrap(),
        key: "key".parse().unwrap(),
    }
}

fn value(text: &'static str) -> NewEntry {
    NewEntry {
        body: EntryBody::Value(Bytes::from_static(text.as_bytes())),
        attributes: Default::default(),
        links: Arc::new([]),
        writer: "somebody else".into(),
    }
}

#[tokio::test]
async fn a_token_reads_and_writes_its_own_scopes_only_and_signs_what_it_writes() {
    let grant = |token: &str, read: &[&str], write: Option<&str>| Grant {
        principal: token.into(),
        token: TokenHash::of(token),
        namespaces: "acme".parse().unwrap(),
        read: read.iter().map(|scope| scope.parse().unwrap()).collect(),
        write: write.map(|scope| scope.parse().unwrap()),
        admin: false,
    };
    let rights = vec![
        grant("main", &["trusted"], Some("trusted")),
        grant("pr", &["pr/7", "trusted"], Some("pr/7")),
        grant("reader", &["trusted"], None),
    ];
    let upstream = Upstream::start(Rights::Tokens(rights)).await;
    let (main, pr, reader) =
        (upstream.client(Some("main")), upstream.client(Some("pr")), upstream.client(Some("reader")));
    main.put(&address("trusted"), value("good"), PutIf::Absent).await.unwrap();
    let seen = pr.get(&address("trusted"), Access::Serve).await.unwrap().unwrap();
    assert_eq!((seen.writer.as_str(), seen.inline), ("main", Some(Bytes::from_static(b"good"))));
    for (client, scope) in [(&pr, "trusted"), (&main, "pr/7"), (&reader, "trusted")] {
        let error = client.put(&address(scope), value("evil"), PutIf::Always).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{scope}");
        assert_eq!(client.delete(&address(scope)).await.unwrap_err().kind(), ErrorKind::Denied, "{scope}");
    }
    pr.put(&address("pr/7"), value("of a branch"), PutIf::Absent).await.unwrap();
    assert!(main.get(&address("pr/7"), Access::Serve).await.unwrap().is_none());
    let acme = "acme".parse().unwrap();
    assert_eq!(reader.send(&acme, Bytes::from_static(&SEGMENT_HEADER)).await.unwrap_err().kind(), ErrorKind::Denied);
    for (client, namespace) in [(upstream.client(None), "acme"), (upstream.client(Some("pr")), "other")] {
        let error = client.records(&namespace.parse().unwrap(), &[]).await.map(drop);
        assert!(error.is_ok(), "nothing is asked for nothing");
        let error = client.records(&namespace.parse().unwrap(), &[ContentHash::of(b"x")]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
    }
}

#[tokio::test]
async fn chunks_go_up_and_come_down_as_segments_and_a_flaw_refuses_all() {
    use larder_base::segment::Record;
    let upstream = Upstream::start(Rights::Open).await;
    let client = upstream.client(None);
    let namespace = "acme".parse().unwrap();
    let contents: Vec<Bytes> = (0..5_u8).map(|n| Bytes::from(vec![n; 1000 * usize::from(n)])).collect();
    let mut segment = SEGMENT_HEADER.to_vec();
    for content in &contents {
        let record = Record::chunk(ContentHash::of(content), content.clone(), 1);
        segment.extend_from_slice(&record.header.encode());
        segment.extend_from_slice(&record.body);
    }
    let mut bad = segment.clone();
    *bad.last_mut().unwrap() ^= 1;
    assert_eq!(client.send(&namespace, bad.into()).await.unwrap_err().kind(), ErrorKind::Invalid);
    let hashes: Vec<_> = contents.iter().map(|content| ContentHash::of(content)).collect();
    assert_eq!(client.records(&namespace, &hashes).await.unwrap(), []);
    assert_eq!(client.send(&namespace, segment.into()).await.unwrap().records, 5);
    let records = client.records(&namespace, &hashes).await.unwrap();
    assert_eq!(records.len(), 5);
    let asked = [hashes[3], ContentHash::of(b"absent"), hashes[1], hashes[3]];
    let body = collect(client.fetch(&namespace, &asked).await.unwrap(), 1 << 20).await.unwrap();
    let length = |hash| records.iter().find(|record| record.digest.hash == hash).unwrap().length;
    assert_eq!(body.len() as u64, 16 + length(hashes[3]) + length(hashes[1]));
    assert!(body.starts_with(&SEGMENT_HEADER));
}
