use larder_base::{DoorName, EntryAddress, EntryPrefix, PutIf, PutOutcome, Scope};

use super::{Subject, at, namespace, numbered, without_inline};

pub(super) async fn namespaces_are_apart(subject: Subject) {
    let names = ["ns", "NS", "ns2", "n", "ns.", "ns-"];
    places_are_apart(subject, names.map(|name| EntryAddress { namespace: namespace(name), ..at("key") }).into()).await;
}

pub(super) async fn scopes_are_apart(subject: Subject) {
    let scopes = [
        "trusted",
        "ref/trusted",
        "ref/main",
        "ref/Main",
        "ref/main/2",
        "ref/mai",
        "user/main",
        "ref/1",
        "pr/1",
        "pr/12",
        "user/1",
        "ref/%",
        "ref/_",
    ];
    let place = |scope: &str| {
        let scope: Scope = scope.parse().expect("the suite's scopes are valid");
        EntryAddress { scope, ..at("key") }
    };
    places_are_apart(subject, scopes.map(place).into()).await;
}

pub(super) async fn doors_are_apart(subject: Subject) {
    let doors = ["ci", "c", "ci2", "ci-2", "http"];
    let place = |door: &str| {
        let door: DoorName = door.parse().expect("the suite's doors are valid");
        EntryAddress { door, ..at("key") }
    };
    places_are_apart(subject, doors.map(place).into()).await;
}

/// Every verb at one of the places leaves the others, which have the same key, as they are.
async fn places_are_apart(subject: Subject, places: Vec<EntryAddress>) {
    let mut stored = Vec::new();
    for (number, place) in places.iter().enumerate() {
        assert_eq!(subject.get(place).await, None, "{place:?} was found before it was put");
        let outcome = subject.put(place, numbered(number as u64), PutIf::Absent).await;
        let PutOutcome::Stored(entry) = outcome else { panic!("nothing was at {place:?}: {outcome:?}") };
        stored.push(entry);
    }
    for (place, entry) in places.iter().zip(&stored) {
        let there = subject.get(place).await.map(|there| without_inline(&there));
        assert_eq!(there.as_ref(), Some(&without_inline(entry)), "at {place:?}");
        let listed = subject.list_all(&only(place)).await;
        let addresses: Vec<_> = listed.iter().map(|line| &line.address).collect();
        assert_eq!(addresses, [place], "a listing shows its own place only");
        assert_eq!(listed[0].entry.blob, entry.blob);
    }
    for (number, place) in places.iter().enumerate() {
        assert!(subject.entries.delete(place).await.expect("a delete succeeds"), "{place:?} was there");
        for (other, address) in places.iter().enumerate() {
            let gone = subject.get(address).await.is_none();
            assert_eq!(gone, other <= number, "{address:?} after {place:?} was deleted");
        }
    }
}

fn only(place: &EntryAddress) -> EntryPrefix {
    EntryPrefix {
        namespace: place.namespace.clone(),
        scope: Some(place.scope.clone()),
        door: Some(place.door.clone()),
        prefix: String::new(),
    }
}
