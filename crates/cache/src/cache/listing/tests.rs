use std::sync::Arc;

use larder_base::{Clock, DoorName, Entries, EntryAddress, EntryBody, ErrorKind, ListPage, NewEntry, PutIf, Scope};
use larder_testkit::clock::FakeClock;
use larder_testkit::memory::Memory;

use crate::{Cache, Caller, Credential, DoorCache, Grant, Jobs, Rights, Signer, Tiers, TokenHash};

struct World {
    memory: Arc<Memory>,
    clock: FakeClock,
    door: DoorCache,
    rights: Rights,
}

impl World {
    /// Holders of tokens that see one scope, two, three and all of them.
    fn new() -> Self {
        let clock = FakeClock::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let memory = Arc::new(Memory::new(shared.clone()));
        let tiers = Tiers { blobs: memory.clone(), entries: memory.clone(), segments: memory.clone() };
        let grant = |token: &str, read: &[&str], write: Option<&str>, admin| Grant {
            principal: token.into(),
            token: TokenHash::of(token),
            namespaces: "acme".parse().unwrap(),
            read: read.iter().map(|scope| scope.parse().unwrap()).collect(),
            write: write.map(|scope| scope.parse().unwrap()),
            admin,
        };
        let rights = Rights::Tokens(vec![
            grant("one", &["trusted"], Some("trusted"), false),
            grant("two", &["pr/7", "trusted"], Some("pr/7"), false),
            grant("three", &["pr/7", "trusted"], Some("ref/main"), false),
            grant("all", &["trusted"], Some("trusted"), true),
            grant("none", &[], None, false),
        ]);
        let cache = Cache::new(tiers, rights.clone(), Signer::new(&[7; 32]), Jobs::new(shared.clone()), shared);
        Self { memory, clock, door: cache.door(DoorName::new("ci")), rights }
    }

    fn caller(&self, token: &str) -> Caller {
        self.rights.resolve(Some(&Credential::new(token)), &"acme".parse().unwrap(), []).unwrap()
    }

    async fn put(&self, scope: &str, key: &str) {
        let address = EntryAddress {
            namespace: "acme".parse().unwrap(),
            scope: scope.parse::<Scope>().unwrap(),
            door: DoorName::new("ci"),
            key: key.parse().unwrap(),
        };
        let entry = NewEntry {
            body: EntryBody::Value(Default::default()),
            attributes: Default::default(),
            links: Arc::default(),
            writer: "writer".into(),
        };
        Entries::put(&*self.memory, &address, entry, PutIf::Always).await.unwrap();
    }

    async fn page(&self, token: &str, after: Option<&str>, limit: usize) -> ListPage {
        self.door.list(&self.caller(token), None, "", after, limit).await.unwrap()
    }

    /// All pages of a listing: the keys of each.
    async fn pages(&self, token: &str, limit: usize) -> Vec<Vec<String>> {
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let page = self.page(token, after.as_deref(), limit).await;
            pages.push(page.entries.iter().map(|listed| listed.address.key.to_string()).collect());
            match page.next {
                Some(next) => after = Some(next),
                None => return pages,
            }
        }
    }
}

/// Entries of three scopes, each a moment after the one before, and some of one moment.
async fn filled(hidden: usize) -> World {
    let world = World::new();
    let scopes = ["trusted", "pr/7", "ref/main", "trusted", "trusted", "pr/7", "ref/main", "pr/7", "trusted"];
    for (number, scope) in scopes.into_iter().enumerate() {
        world.put(scope, &format!("{number}")).await;
        for other in 0..hidden {
            world.put("pr/8", &format!("hidden {number} {other}")).await;
        }
        world.clock.advance(std::time::Duration::from_millis(number as u64 / 3));
    }
    world
}

#[tokio::test]
async fn each_sees_all_of_its_scopes_newest_first_whatever_the_length_of_the_pages() {
    let world = filled(2).await;
    for limit in 1..12 {
        assert_eq!(world.pages("one", limit).await.concat(), ["8", "4", "3", "0"], "{limit}");
        assert_eq!(world.pages("two", limit).await.concat(), ["8", "7", "5", "4", "3", "1", "0"], "{limit}");
        let three = world.pages("three", limit).await;
        assert_eq!(three.concat(), ["8", "7", "6", "5", "4", "3", "2", "1", "0"], "{limit}");
        assert!(three.iter().all(|page| !page.is_empty() && page.len() <= limit), "{three:?}");
        assert_eq!(world.pages("all", limit).await.concat().len(), 27);
        assert_eq!(world.pages("none", limit).await, [Vec::<String>::new()]);
    }
}

#[tokio::test]
async fn what_a_caller_may_not_see_shows_neither_in_the_pages_nor_in_their_cursors() {
    let (with, without) = (filled(3).await, filled(0).await);
    for token in ["one", "two", "three", "none"] {
        for limit in 1..12 {
            assert_eq!(with.pages(token, limit).await, without.pages(token, limit).await, "{token} {limit}");
        }
    }
    // A page of nothing but what is hidden has no next one.
    let hidden = World::new();
    for number in 0..10 {
        hidden.put("pr/8", &number.to_string()).await;
    }
    for token in ["one", "two", "three", "none"] {
        assert_eq!(hidden.page(token, None, 3).await, ListPage::default(), "{token}");
    }
    assert!(hidden.page("all", None, 3).await.next.is_some());
    // Where what is hidden is the newest and the oldest, a cursor stands behind what was shown.
    hidden.put("trusted", "seen").await;
    hidden.put("pr/8", "newest").await;
    let page = hidden.page("two", None, 1).await;
    assert_eq!((page.entries.len(), page.next), (1, None));
}

#[tokio::test]
async fn a_cursor_of_another_listing_is_refused() {
    let world = filled(0).await;
    let next = world.page("two", None, 1).await.next.unwrap();
    for wrong in ["", "nonsense", "[]", "[null]", "[\"nonsense\",null]", "[\"\",\"\",\"\"]", "{}"] {
        let refused = world.door.list(&world.caller("two"), None, "", Some(wrong), 1).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid, "{wrong}");
    }
    for other in ["one", "three", "all"] {
        let refused = world.door.list(&world.caller(other), None, "", Some(&next), 1).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid, "{other}");
    }
}

#[tokio::test]
async fn what_is_written_and_removed_between_two_pages_neither_repeats_nor_hides_another() {
    let world = filled(1).await;
    let first = world.page("two", None, 3).await;
    world.put("trusted", "new").await;
    world.put("pr/7", "newer").await;
    let gone = &first.entries[2].address;
    Entries::delete(&*world.memory, gone).await.unwrap();
    let second = world.page("two", first.next.as_deref(), 10).await;
    let keys: Vec<_> = second.entries.iter().map(|listed| listed.address.key.as_str()).collect();
    assert_eq!((keys, second.next), (vec!["4", "3", "1", "0"], None));
}
