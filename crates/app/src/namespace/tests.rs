use std::fs;

use super::{name_of_remote, namespace_of, origin_of};

#[test]
fn a_remote_is_named_by_its_path() {
    for (url, name) in [
        ("https://git.example/acme/widget.git", "acme~widget"),
        ("https://user:secret@git.example/acme/widget", "acme~widget"),
        ("git@git.example:acme/widget.git", "acme~widget"),
        ("ssh://git@git.example:2222/acme/tools/widget/", "acme~tools~widget"),
        ("/srv/git/widget.git", "widget"),
        ("file:///srv/git/widget.git", "widget"),
        ("https://git.example/ac me/wid%get", "ac-me~wid-get"),
    ] {
        assert_eq!(name_of_remote(url), name, "{url}");
    }
}

#[test]
fn the_origin_is_found_among_other_remotes() {
    let config =
        "[core]\n\turl = no\n[remote \"fork\"]\n\turl = fork\n[remote \"origin\"]\n\tfetch = x\n\turl = right\n";
    assert_eq!(origin_of(config).as_deref(), Some("right"));
    assert_eq!(origin_of("[remote \"fork\"]\nurl = fork"), None);
}

#[test]
fn a_folder_without_a_remote_is_named_by_itself_and_a_worktree_by_its_repository() {
    let root = tempfile::tempdir().unwrap();
    let plain = root.path().join("my project");
    fs::create_dir(&plain).unwrap();
    assert_eq!(namespace_of(None, &plain).unwrap().as_str(), "my-project");
    assert_eq!(namespace_of(Some("chosen"), &plain).unwrap().as_str(), "chosen");
    assert!(namespace_of(Some("no/slash"), &plain).is_err());

    let repository = root.path().join("repository");
    fs::create_dir_all(repository.join(".git/worktrees/tree")).unwrap();
    fs::write(repository.join(".git/config"), "[remote \"origin\"]\nurl = https://git.example/acme/widget\n").unwrap();
    fs::write(repository.join(".git/worktrees/tree/commondir"), "../..\n").unwrap();
    let worktree = root.path().join("worktree/inner");
    fs::create_dir_all(&worktree).unwrap();
    let pointer = format!("gitdir: {}\n", repository.join(".git/worktrees/tree").display());
    fs::write(root.path().join("worktree/.git"), pointer).unwrap();
    assert_eq!(namespace_of(None, &worktree).unwrap().as_str(), "acme~widget");
    assert_eq!(namespace_of(None, std::path::Path::new("/")).unwrap().as_str(), "default");
}
