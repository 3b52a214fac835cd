use super::*;
use crate::recipe::key::HASH_CHARS;
use crate::rust::lock::{LockedPackage, Source};

struct Inputs {
    toolchain: Toolchain,
    targets: Vec<String>,
    selection: Selection,
    settings: BTreeMap<String, String>,
    lock: Lock,
    members: &'static str,
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

impl Inputs {
    fn usual() -> Self {
        let verbose = "rustc 1.95.0\ncommit-hash: 59807616\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0";
        let package = LockedPackage {
            name: "serde".to_owned(),
            version: "1.0.1".to_owned(),
            source: Source::Registry { url: "https://example.org/".to_owned() },
            checksum: Some("aa".to_owned()),
        };
        Self {
            toolchain: Toolchain::parse(verbose.to_owned(), std::ffi::OsStr::new("rustc")).unwrap(),
            targets: Vec::new(),
            selection: Selection::default(),
            settings: [("toolchain".to_owned(), verbose.to_owned())].into(),
            lock: Lock { packages: vec![package] },
            members: r#"[{"name":"app","version":"0.1.0"}]"#,
        }
    }

    fn compose(&self) -> (String, Vec<String>) {
        let metadata = format!(r#"{{"workspace_root":"/w","target_directory":"/t","packages":{}}}"#, self.members);
        let workspace = serde_json::from_str(&metadata).unwrap();
        let Self { toolchain, targets, selection, settings, lock, .. } = self;
        let (key, fallbacks) = compose(toolchain, targets, selection, settings, lock, &workspace).unwrap();
        (key.as_str().to_owned(), fallbacks)
    }
}

fn with(change: impl FnOnce(&mut Inputs)) -> (String, Vec<String>) {
    let mut inputs = Inputs::usual();
    change(&mut inputs);
    inputs.compose()
}

#[test]
fn a_key_can_be_read() {
    let (key, fallbacks) = with(|inputs| {
        inputs.targets = words(&["wasm32-unknown-unknown", "x86_64-unknown-linux-gnu"]);
        inputs.selection.profile = Some("release".to_owned());
        inputs.selection.label = Some("build & test".to_owned());
    });
    let stem = "rust-1.95.0-x86_64-unknown-linux-gnu-wasm32-unknown-unknown-release-build___test-";
    let hashes = key.strip_prefix(stem).unwrap().split('-').collect::<Vec<_>>();
    assert_eq!(hashes.iter().map(|hash| hash.len()).collect::<Vec<_>>(), [HASH_CHARS, HASH_CHARS]);
    assert_eq!(fallbacks, [format!("{stem}{}-", hashes[0])]);
}

#[test]
fn builds_that_share_nothing_share_neither_key_nor_fallback() {
    type Change = (&'static str, fn(&mut Inputs));
    let changes: [Change; 11] = [
        ("usual", |_| ()),
        ("flags", |inputs| drop(inputs.settings.insert("env.RUSTFLAGS".to_owned(), "-g".to_owned()))),
        ("compiler", |inputs| drop(inputs.settings.insert("toolchain".to_owned(), "another commit".to_owned()))),
        ("profile", |inputs| inputs.selection.profile = Some("release".to_owned())),
        ("feature", |inputs| inputs.selection.features = words(&["extra"])),
        ("features", |inputs| inputs.selection.features = words(&["extra", "more"])),
        ("no default", |inputs| inputs.selection.no_default_features = true),
        ("all", |inputs| inputs.selection.all_features = true),
        ("label", |inputs| inputs.selection.label = Some("clippy".to_owned())),
        ("target", |inputs| inputs.targets = words(&["wasm32-unknown-unknown"])),
        ("two targets", |inputs| inputs.targets = words(&["wasm32-unknown-unknown", "x86_64-unknown-linux-gnu"])),
    ];
    for (at, (name, change)) in changes.iter().enumerate() {
        for (other_name, other) in &changes[..at] {
            let (key, fallbacks) = with(change);
            let (other_key, other_fallbacks) = with(other);
            assert_ne!(key, other_key, "{name} and {other_name}");
            assert!(!key.starts_with(&other_fallbacks[0]), "{name} falls back to {other_name}");
            assert!(!other_key.starts_with(&fallbacks[0]), "{other_name} falls back to {name}");
        }
    }
}

#[test]
fn another_set_of_packages_is_another_key_with_the_same_fallback() {
    let usual = with(|_| ());
    let changes: [fn(&mut Inputs); 5] = [
        |inputs| inputs.lock.packages[0].version = "1.0.2".to_owned(),
        |inputs| inputs.lock.packages[0].checksum = Some("bb".to_owned()),
        |inputs| inputs.lock.packages[0].source = Source::Git { url: "u".to_owned(), revision: "r".to_owned() },
        |inputs| inputs.lock.packages.clear(),
        |inputs| inputs.members = r#"[{"name":"app","features":{"default":["serde/std"]}}]"#,
    ];
    for (at, change) in changes.iter().enumerate() {
        let (key, fallbacks) = with(change);
        assert_ne!(key, usual.0, "change {at}");
        assert_eq!(fallbacks, usual.1, "change {at}");
        assert!(key.starts_with(&usual.1[0]), "change {at}");
    }
}

#[test]
fn a_members_own_version_is_not_in_the_key() {
    assert_eq!(with(|inputs| inputs.members = r#"[{"name":"app","version":"0.2.0"}]"#), with(|_| ()));
}

#[test]
fn the_order_and_spelling_of_features_do_not_count() {
    let comma = with(|inputs| inputs.selection.features = words(&["b,a"]));
    assert_eq!(comma, with(|inputs| inputs.selection.features = words(&["a", "b", "a"])));
}

#[test]
fn words_cannot_be_shifted_between_neighbours_to_forge_a_key() {
    let shifted =
        |name: &str, value: &str| with(|inputs| drop(inputs.settings.insert(name.to_owned(), value.to_owned())));
    assert_ne!(shifted("ab", "c"), shifted("a", "bc"));
}

#[test]
fn long_words_keep_a_key_short_and_still_tell_apart() {
    let long = |last: char| {
        with(|inputs| {
            inputs.selection.label = Some(format!("{}{last}", "x".repeat(2000)));
            inputs.targets = (0..50).map(|number| format!("target-{number}")).collect();
        })
    };
    assert!(long('a').0.len() <= 512);
    assert_ne!(long('a').0, long('b').0);
}
