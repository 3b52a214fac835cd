use std::path::PathBuf;

use super::super::testing::Machine;

#[test]
fn a_folder_is_the_last_line_of_an_answer_and_absolute() {
    let mut machine = Machine::new();
    machine.answer("tool talks", "preparing\n/caches/tool \n");
    machine.answer("tool relative", "undefined\n");
    machine.answer("tool silent", "\n");
    machine.failure("tool fails", "/caches/tool\n");
    machine.with(|project| {
        assert_eq!(project.ask_folder(&["tool", "talks"]), Some(PathBuf::from("/caches/tool")));
        for what in ["relative", "silent", "fails", "absent"] {
            assert_eq!(project.ask_folder(&["tool", what]), None, "{what}");
        }
    });
}

#[test]
fn a_tool_is_asked_in_the_project_and_kept_from_downloading_itself() {
    let machine = Machine::new();
    machine.with(|project| project.ask(&["pnpm", "store", "path"]));
    let asked = machine.asked.borrow();
    let asked = &asked[0];
    assert_eq!((asked.command.as_str(), &asked.directory), ("pnpm store path", &machine.path("project")));
    for (name, value) in [("COREPACK_ENABLE_NETWORK", "0"), ("GOTOOLCHAIN", "local"), ("UV_OFFLINE", "1")] {
        assert_eq!(asked.environment[std::ffi::OsStr::new(name)], value);
    }
    assert!(asked.environment.contains_key(std::ffi::OsStr::new("HOME")));
}

#[test]
fn the_users_caches_are_where_the_system_has_them() {
    let mut machine = Machine::new();
    let caches = |machine: &Machine| machine.with(|project| project.in_caches("tool")).unwrap();
    assert_eq!(caches(&machine), machine.path("home/.cache/tool"));
    machine.set("XDG_CACHE_HOME", "/elsewhere");
    assert_eq!(caches(&machine), PathBuf::from("/elsewhere/tool"));
    machine.os = "macos";
    assert_eq!(caches(&machine), machine.path("home/Library/Caches/tool"));
    machine.set("HOME", "");
    assert_eq!(machine.with(|project| project.in_caches("tool")), None);
}

#[test]
fn javas_home_is_the_systems_word_and_not_the_environments() {
    let mut machine = Machine::new();
    let home = |machine: &Machine| machine.with(|project| project.in_java_home(".m2")).unwrap();
    assert_eq!(home(&machine), machine.path("home/.m2"), "where nobody can be asked");
    machine.answer("id -u", "1001\n");
    assert_eq!(home(&machine), machine.path("home/.m2"), "where the user has no entry");
    machine.answer("getent passwd 1001", "runner:x:1001:1001:,,,:/users/runner:/bin/bash\n");
    assert_eq!(home(&machine), PathBuf::from("/users/runner/.m2"));
    machine.os = "macos";
    assert_eq!(home(&machine), machine.path("home/.m2"));
}
