//! `larder save` and `larder restore` against a real server.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use serde_json::json;

use crate::server::{Machine, Server, wait_until};

/// A folder with everything that a save keeps: a large file, an empty one, modes, links, an empty folder.
pub fn make_tree(root: &Path) {
    fs::create_dir_all(root.join("tree/inner/empty")).unwrap();
    let large: Vec<u8> = (0..2_000_000_u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 7).to_le_bytes()).collect();
    fs::write(root.join("tree/large"), &large).unwrap();
    fs::write(root.join("tree/empty-file"), "").unwrap();
    for number in 0..200 {
        fs::write(root.join(format!("tree/inner/file {number}")), format!("content {number}\n").repeat(number))
            .unwrap();
    }
    fs::set_permissions(root.join("tree/inner/file 7"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(root.join("tree/inner/file 8"), fs::Permissions::from_mode(0o444)).unwrap();
    fs::hard_link(root.join("tree/large"), root.join("tree/inner/same")).unwrap();
    symlink("../large", root.join("tree/inner/link")).unwrap();
}

/// What can be seen of a tree: path, kind, mode, time, content or target.
pub fn describe(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let seen = fs::symlink_metadata(&path).unwrap();
            let content = if seen.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if seen.is_dir() {
                folders.push(path.clone());
                "folder".to_owned()
            } else {
                format!("{} x{}", larder_base::ContentHash::of(&fs::read(&path).unwrap()), seen.nlink())
            };
            // The time of a link itself is not kept.
            let time = if seen.is_symlink() { 0 } else { seen.mtime_nsec() + seen.mtime() };
            let name = path.strip_prefix(root).unwrap().display();
            lines.push(format!("{name} {:o} {time} {content}", seen.mode() & 0o7777));
        }
    }
    lines.sort();
    lines
}

#[test]
pub fn a_tree_comes_back_as_it_was_on_another_machine() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    make_tree(&one);
    fs::create_dir(&other).unwrap();
    let saved = Machine::of(&server).json(&one, &["save", "key", "tree"]);
    assert_eq!(saved["result"], "saved", "{saved}");
    assert_eq!(saved["warnings"], json!(null), "{saved}");
    let restored = Machine::of(&server).json(&other, &["restore", "key"]);
    assert_eq!(restored["result"], "hit", "{restored}");
    assert_eq!(describe(&one), describe(&other));
}

#[test]
pub fn an_unchanged_tree_is_not_sent_and_one_that_differs_is_refused_unless_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let machine = Machine::of(&server);
    make_tree(folder.path());
    assert_eq!(machine.json(folder.path(), &["save", "key", "tree"])["result"], "saved");
    assert_eq!(machine.json(folder.path(), &["save", "key", "tree"])["result"], "unchanged");

    // Equal content at a later time is equal, also to a machine that remembers nothing.
    let touched = fs::File::options().write(true).open(folder.path().join("tree/large")).unwrap();
    touched.set_modified(std::time::SystemTime::now()).unwrap();
    assert_eq!(Machine::of(&server).json(folder.path(), &["save", "key", "tree"])["result"], "unchanged");

    fs::write(folder.path().join("tree/inner/file 9"), "changed").unwrap();
    let refused = machine.json(folder.path(), &["save", "key", "tree"]);
    assert_eq!(refused["result"], "skipped", "{refused}");
    assert!(refused["reason"].as_str().unwrap().contains("--replace"), "{refused}");
    let replaced = machine.json(folder.path(), &["save", "--replace", "key", "tree"]);
    assert_eq!(replaced["result"], "saved", "{replaced}");
    assert!(replaced["new_bytes"].as_u64().unwrap() < 100_000, "only what changed is new: {replaced}");
}

#[test]
pub fn a_fallback_restores_the_newest_that_begins_so_and_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let machine = Machine::of(&server);
    make_tree(folder.path());
    for key in ["deps-1", "deps-2", "other-3"] {
        fs::write(folder.path().join("tree/which"), key).unwrap();
        assert_eq!(machine.json(folder.path(), &["save", key, "tree"])["result"], "saved");
    }
    let restored = machine.json(folder.path(), &["restore", "deps-9", "--fallback", "deps-", "--fallback", "other-"]);
    assert_eq!(restored["result"], "partial", "{restored}");
    assert_eq!(restored["matched_key"], "deps-2");
    assert_eq!(fs::read_to_string(folder.path().join("tree/which")).unwrap(), "deps-2");
    let missed = machine.json(folder.path(), &["restore", "deps-9", "--fallback", "deps-%"]);
    assert_eq!(missed["result"], "miss", "a prefix is text, not a pattern: {missed}");
}

#[test]
pub fn a_dirty_tree_gets_only_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let machine = Machine::of(&server);
    make_tree(folder.path());
    let before = describe(&folder.path().join("tree"));
    machine.json(folder.path(), &["save", "key", "tree"]);
    let inode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().ino();
    let untouched = inode("tree/inner/file 20");
    // Damage that keeps size and time: only the content tells.
    let damaged = folder.path().join("tree/inner/file 21");
    let time = fs::metadata(&damaged).unwrap().modified().unwrap();
    let mut content = fs::read(&damaged).unwrap();
    content[5] ^= 1;
    fs::write(&damaged, content).unwrap();
    fs::File::options().write(true).open(&damaged).unwrap().set_modified(time).unwrap();
    fs::remove_file(folder.path().join("tree/inner/file 22")).unwrap();
    fs::write(folder.path().join("tree/a file of my own"), "stays").unwrap();
    let restored = machine.json(folder.path(), &["restore", "key"]);
    assert_eq!(restored["result"], "hit", "{restored}");
    assert!(restored["new_bytes"].as_u64().unwrap() < 10_000, "{restored}");
    assert_eq!(inode("tree/inner/file 20"), untouched);
    fs::remove_file(folder.path().join("tree/a file of my own")).unwrap();
    // The folder's own time is the restore's, as it was changed by hand after.
    let content_of = |lines: &[String]| lines.to_vec();
    assert_eq!(content_of(&describe(&folder.path().join("tree"))), content_of(&before));
}

#[test]
pub fn a_list_of_files_comes_from_standard_input() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let machine = Machine::of(&server);
    make_tree(folder.path());
    for (key, list) in [("lines", "tree/large\ntree/inner/file 3\n"), ("nuls", "tree/large\0tree/inner/file 3\0")] {
        let mut child = machine
            .command(folder.path(), &["--json", "save", key])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let saved: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&saved["result"], &saved["files"]), (&json!("saved"), &json!(2)), "{saved}");
    }
}

#[test]
fn who_waits_for_a_list_that_does_not_end_is_told_so() {
    use std::io::{BufRead, BufReader, Write};
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    make_tree(folder.path());
    let mut child = Machine::of(&server)
        .command(folder.path(), &["save", "key"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "larder: no path was given: waiting for the end of a list of files on standard input\n");
    input.write_all(b"tree/large").unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
    let found = Machine::of(&server).json(folder.path(), &["show", "key"]);
    assert_eq!(found["files"], json!(1));
}

#[test]
pub fn what_would_leave_the_folder_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let machine = Machine::of(&server);
    make_tree(folder.path());
    for path in ["../outside", "/etc/passwd", "tree/../../outside"] {
        let output = machine.larder(folder.path(), &["--strict", "save", "key", path]);
        assert!(!output.status.success(), "{path}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(path), "{output:?}");
    }
    symlink("/etc", folder.path().join("tree/out")).unwrap();
    let saved = machine.json(folder.path(), &["save", "key", "tree"]);
    assert_eq!(saved["result"], "saved", "a link that leads out is left out: {saved}");
    assert!(saved["warnings"][0].as_str().unwrap().contains("tree/out"), "{saved}");
}

#[test]
pub fn without_a_server_a_build_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    make_tree(folder.path());
    let alone = Machine::with_url("http://127.0.0.1:9");
    for arguments in [&["save", "key", "tree"][..], &["restore", "key"], &["list"], &["stats"], &["rust", "restore"]] {
        let output = alone.larder(folder.path(), arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.trim().lines().count(), 1, "one line: {said}");
    }
    let strict = alone.larder(folder.path(), &["--strict", "restore", "key"]);
    assert_eq!(strict.status.code(), Some(1));
}

#[test]
pub fn a_miss_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let output = Machine::of(&server).larder(folder.path(), &["--strict", "--json", "restore", "nothing"]);
    assert_eq!(output.status.code(), Some(0));
    let missed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(missed["result"], "miss");
}

#[test]
fn a_save_that_does_not_wait_leaves_before_its_publication_which_comes_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let machine = Machine::of(&server);
    let work = folder.path().join("work");
    fs::create_dir(&work).unwrap();
    // The server may be faster than its answer, but not always.
    let mut results = Vec::new();
    for number in 0..50 {
        fs::write(work.join("file"), format!("content {number}").repeat(100_000)).unwrap();
        let saved = machine.json(&work, &["save", &format!("key-{number}"), "file", "--no-wait"]);
        results.push(saved["result"].as_str().unwrap().to_owned());
        if saved["result"] == "queued" {
            break;
        }
    }
    assert_eq!(results.pop().unwrap(), "queued", "{results:?}");
    let key = format!("key-{}", results.len());
    wait_until("it is published", || machine.json(&work, &["restore", &key])["result"] == "hit");
    let both = machine.larder(&work, &["save", "key", "file", "--no-wait", "--wait", "1"]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn a_save_that_cannot_read_a_file_says_what_the_entry_is_without() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let work = folder.path().join("work");
    fs::create_dir(&work).unwrap();
    for name in ["open", "closed"] {
        fs::write(work.join(name), name).unwrap();
    }
    fs::set_permissions(work.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let machine = Machine::of(&server);
    let save = |arguments: &[&str]| {
        let mut command = machine.command(&work, arguments);
        if rustix::process::geteuid().is_root() {
            // Nobody may read "closed" then; and nothing can be remembered at this home, which costs nothing.
            command.uid(65_534).gid(65_534);
        }
        let output = command.output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), report)
    };

    let (code, report) = save(&["--json", "save", "nothing", "closed"]);
    assert_eq!((code, &report["result"]), (Some(0), &json!("failed")));
    assert!(report["reason"].as_str().unwrap().contains("no file could be read"), "{report}");
    let restored = machine.json(&work, &["restore", "nothing"]);
    assert_eq!(restored["result"], "miss", "an empty entry would keep the key for ever");

    let (code, report) = save(&["--json", "save", "some", "open", "closed"]);
    assert_eq!((code, &report["result"], &report["unreadable"]), (Some(0), &json!("saved"), &json!(1)));
    assert!(report["reason"].as_str().unwrap().contains("without 1 file that could not be read"), "{report}");
    let (code, _) = save(&["--json", "--strict", "save", "strictly", "open", "closed"]);
    assert_eq!(code, Some(1));
    let (code, report) = save(&["--json", "--strict", "save", "whole", "open"]);
    assert_eq!((code, report.get("unreadable")), (Some(0), None));
}
