use super::*;

/// What cargo 1.70 printed: ids of the old form, and no build directory.
const OLD: &str = r#"{"packages":[{"name":"app","version":"0.1.0","id":"app 0.1.0 (path+file:///w/app)",
"license":null,"source":null,"dependencies":[
{"name":"serde","source":"registry+https://github.com/rust-lang/crates.io-index","req":"^1","kind":null,
"rename":null,"optional":false,"uses_default_features":true,"features":["derive"],"target":null,"registry":null},
{"name":"own","source":null,"req":"^0.1.0","kind":"dev","rename":null,"optional":false,
"uses_default_features":true,"features":[],"target":null,"registry":null,"path":"/w/own"}],
"targets":[],"features":{"default":["serde/std"]},"manifest_path":"/w/app/Cargo.toml"}],
"workspace_members":["app 0.1.0 (path+file:///w/app)"],"resolve":null,
"target_directory":"/w/target","version":1,"workspace_root":"/w","metadata":null}"#;

/// What cargo 1.95 prints.
fn new() -> String {
    OLD.replace("app 0.1.0 (path+file:///w/app)", "path+file:///w/app#0.1.0")
        .replace(r#""version":1,"#, r#""build_directory":"/b","version":1,"#)
}

#[test]
fn answers_of_old_and_new_cargo_are_understood() {
    let old = Workspace::parse(OLD.as_bytes()).unwrap();
    assert_eq!((old.root.to_str(), old.build_directory.to_str()), (Some("/w"), Some("/w/target")));
    assert_eq!(old.lock_path().to_str(), Some("/w/Cargo.lock"));
    let new = Workspace::parse(new().as_bytes()).unwrap();
    assert_eq!(new.build_directory.to_str(), Some("/b"));
    assert_eq!(new.declarations(), old.declarations());
}

#[test]
fn declarations_tell_features_apart_and_versions_of_members_not() {
    let declared = |json: &str| Workspace::parse(json.as_bytes()).unwrap().declarations();
    assert_eq!(declared(&OLD.replace("^0.1.0", "^0.2.0").replace("0.1.0", "0.2.0")), declared(OLD));
    for (from, to) in
        [("derive", "std"), ("\"^1\"", "\"^1.2\""), ("serde/std", "serde/alloc"), ("\"dev\"", "\"build\"")]
    {
        assert_ne!(declared(&OLD.replace(from, to)), declared(OLD), "{from} to {to}");
    }
}

#[test]
fn every_wording_of_a_stale_lock_is_known_and_nothing_else_is_taken_for_one() {
    for said in [
        "error: the lock file /w/Cargo.lock needs to be updated but --locked was passed to prevent this",
        "error: cannot update the lock file /w/Cargo.lock because --locked was passed to prevent this\nhelp: …",
        "error: cannot create the lock file /w/Cargo.lock because --locked was passed to prevent this",
    ] {
        assert!(complains_about_lock(said), "{said}");
    }
    assert!(!complains_about_lock("error: no matching package named `serde` found\nyou're using offline mode"));
}
