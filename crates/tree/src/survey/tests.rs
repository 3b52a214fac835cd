use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::testing::{LateClock, put, survey};

/// Something to do after a file was read.
#[derive(Clone, Default)]
pub(crate) struct Hook(pub(crate) Option<Action>);

type Action = Arc<dyn Fn(&str) + Send + Sync>;

impl Hook {
    pub(crate) fn run(&self, name: &str) {
        if let Some(action) = &self.0 {
            action(name);
        }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

fn omitted(survey: &Survey<'_>, end: &str) -> String {
    let found = survey.omissions().iter().find(|omission| omission.path.ends_with(end));
    found.unwrap_or_else(|| panic!("{end} is not among {:?}", survey.omissions())).reason.clone()
}

fn take(root: &Path, paths: &[&str]) -> Survey<'static> {
    let selection = Selection::of(root, paths).unwrap();
    let source = Source { name: "work".into(), path: root.to_owned(), selection, memory: Memory::new() };
    Survey::take(vec![source], &LateClock, 2, &Progress::new()).unwrap()
}

fn names(survey: &Survey<'_>) -> Vec<String> {
    let root = &survey.roots[0];
    root.files.iter().map(|file| root.table.path_in(file.dir, &file.name)).collect()
}

#[test]
fn everything_is_found_in_the_order_of_names() {
    let root = tempfile::tempdir().unwrap();
    for path in ["b/z", "b/a", "a/x/y", "a.txt", "c", "a/x/b/q"] {
        put(root.path(), path, path);
    }
    fs::create_dir(root.path().join("empty")).unwrap();
    let survey = survey(root.path(), Memory::new());
    assert_eq!(names(&survey), ["a.txt", "c", "a/x/y", "a/x/b/q", "b/a", "b/z"]);
    assert_eq!(survey.roots[0].dirs.len(), 6);
    assert_eq!(survey.omissions(), []);
}

#[test]
fn only_what_is_selected_is_found() {
    let root = tempfile::tempdir().unwrap();
    for path in ["a/1", "a/2", "b/1", "b/c/1", "d"] {
        put(root.path(), path, path);
    }
    let survey = take(root.path(), &["a/2", "b", "gone", "a/gone", "d/below"]);
    assert_eq!(names(&survey), ["a/2", "b/1", "b/c/1"]);
    assert!(omitted(&survey, "/gone").contains("No such file"));
    assert!(omitted(&survey, "/a/gone").contains("No such file"));
    assert!(omitted(&survey, "/d").contains("no directory"));
    let times: Vec<bool> = survey.roots[0].dirs.iter().map(|dir| dir.mtime.is_some()).collect();
    assert_eq!(times, [false, false, true, true], "only directories saved whole have a time");
}

#[test]
fn what_cannot_be_saved_is_named_with_its_reason() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    put(root.path(), "fine", "");
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    symlink("/etc/passwd", at("absolute")).unwrap();
    symlink("../x", at("above")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    fs::write(root.path().join(std::ffi::OsStr::from_bytes(b"not\xfftext")), "").unwrap();
    put(root.path(), ".larder~1", "left over");
    let survey = survey(root.path(), Memory::new());
    assert_eq!(omitted(&survey, "/pipe"), "it is a pipe");
    assert_eq!(omitted(&survey, "/socket"), "it is a socket");
    assert!(omitted(&survey, "/absolute").contains("absolute path"));
    assert!(omitted(&survey, "/above").contains("leads outside"));
    assert!(survey.omissions().iter().any(|omission| omission.reason.contains("UTF-8")));
    assert_eq!(survey.omissions().len(), 5);
    assert_eq!(names(&survey), ["fine"]);
    assert_eq!(survey.roots[0].links.len(), 1);
}

#[test]
fn a_selected_path_behind_a_link_is_named_and_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "secret", "x");
    symlink(outside.path(), root.path().join("link")).unwrap();
    let survey = take(root.path(), &["link/secret"]);
    assert!(omitted(&survey, "/link").contains("a link is not followed"));
    assert_eq!(survey.files(), 0);
}

#[test]
fn a_root_that_is_no_directory_is_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let gone = root.path().join("gone");
    let source =
        Source { name: "work".into(), path: gone.clone(), selection: Selection::everything(), memory: Memory::new() };
    let error = Survey::take(vec![source], &LateClock, 1, &Progress::new()).unwrap_err();
    assert!(error.message().contains(&gone.display().to_string()), "{error}");
}

#[test]
fn a_stopped_survey_says_so() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "a/b/c", "");
    let progress = Progress::new();
    progress.stop();
    let error = Survey::take(vec![crate::testing::source(root.path(), Memory::new())], &LateClock, 4, &progress);
    assert_eq!(error.unwrap_err().kind(), larder_base::ErrorKind::Unavailable);
}
