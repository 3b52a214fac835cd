use super::super::node;
use super::super::testing::Machine;
use super::*;

#[test]
fn a_key_says_tool_version_and_machine_and_its_beginning_is_the_fallback() {
    let mut machine = Machine::new();
    machine.write("project/package-lock.json", "{}");
    machine.answer("node --version", "v20.20.2\n");
    let identity = machine.identify(&node::RECIPE);
    let key = identity.key.as_str();
    assert!(key.starts_with("node-20-npm-linux-x86_64-"), "{key}");
    assert_eq!(identity.fallbacks.len(), 1);
    assert!(key.starts_with(&identity.fallbacks[0]) && key.len() == identity.fallbacks[0].len() + HASH_CHARS);

    machine.write("project/package-lock.json", "{\"changed\": 1}");
    let changed = machine.identify(&node::RECIPE);
    assert_ne!(changed.key, identity.key);
    assert_eq!(changed.fallbacks, identity.fallbacks);
}

#[test]
fn a_lock_that_is_renamed_or_moved_is_another() {
    let keys = ["a/package-lock.json", "b/package-lock.json", "package-lock.json", "npm-shrinkwrap.json"].map(|lock| {
        let machine = Machine::new();
        machine.write(&format!("project/{lock}"), "{}");
        machine.key(&node::RECIPE)
    });
    assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len(), "{keys:?}");
}

#[test]
fn a_job_falls_back_to_its_own_first_and_to_all_others_then() {
    let mut machine = Machine::new();
    machine.write("project/package-lock.json", "{}");
    let plain = machine.identify(&node::RECIPE);
    machine.job = Some("lint all");
    let job = machine.identify(&node::RECIPE);
    assert_eq!(job.fallbacks, [format!("{}lint_all-", plain.fallbacks[0]), plain.fallbacks[0].clone()]);
    assert!(job.key.as_str().starts_with(&job.fallbacks[0]));
    // Jobs that look alike in a key are told apart by its hash.
    machine.job = Some("lint_all");
    let alike = machine.identify(&node::RECIPE);
    assert_eq!(alike.fallbacks, job.fallbacks);
    assert_ne!(alike.key, job.key);
}

#[test]
fn a_lock_that_cannot_be_read_is_named() {
    let machine = Machine::new();
    let settings = BTreeMap::new();
    let keyed = Keyed { name: "x", parts: &[], settings: &settings, facts: &[], locks: &[PathBuf::from("gone.lock")] };
    let error = machine.with(|project| compose(project, &keyed)).unwrap_err();
    assert!(error.message().contains("gone.lock"), "{error}");
}

#[test]
fn lists_that_look_alike_when_joined_have_other_hashes() {
    let hash = |lists: &[&[&str]]| {
        let mut lines = Lines::new();
        lists.iter().for_each(|list| lines.add(list));
        lines.finish()
    };
    assert_ne!(hash(&[&["ab", "c"]]), hash(&[&["a", "bc"]]));
    assert_ne!(hash(&[&["a"], &["b"]]), hash(&[&["a", "b"]]));
}
