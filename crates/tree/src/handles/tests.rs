use std::fs;
use std::os::unix::fs::symlink;

use super::*;

#[test]
fn a_link_in_place_of_a_directory_is_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("inner")).unwrap();
    symlink(outside.path(), root.path().join("link")).unwrap();
    let mut table = DirTable::new();
    let link = table.push(ROOT, "link");
    let inner = table.push(link, "inner");
    let handles = Handles::open(root.path()).unwrap();
    assert!(handles.get(&table, link).is_err());
    assert!(handles.get(&table, inner).is_err());
    assert_eq!(stat_at(handles.root(), "link").unwrap().kind, crate::stat::NodeKind::Symlink);
}

#[test]
fn more_directories_than_may_be_open_are_all_reached() {
    let root = tempfile::tempdir().unwrap();
    let mut table = DirTable::new();
    let ids: Vec<DirId> = (0..3 * OPEN_MAX)
        .map(|number| {
            let name = format!("d{number}");
            fs::create_dir_all(root.path().join(&name).join("inner")).unwrap();
            let id = table.push(ROOT, &name);
            table.push(id, "inner")
        })
        .collect();
    let handles = Handles::open(root.path()).unwrap();
    for id in ids.iter().chain(&ids) {
        handles.get(&table, *id).unwrap();
        assert!(handles.open.lock().len() <= OPEN_MAX);
    }
    assert_eq!(table.path_in(ids[1], "x"), "d1/inner/x");
}

#[test]
fn reading_stops_at_the_end_of_the_file() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), b"12345").unwrap();
    let handles = Handles::open(root.path()).unwrap();
    let file = open_file(handles.root(), "f").unwrap();
    let mut buffer = [0; 8];
    assert_eq!(read_at(&file, &mut buffer, 0).unwrap(), 5);
    assert_eq!(read_at(&file, &mut buffer[..2], 1).unwrap(), 2);
    assert_eq!(&buffer[..2], b"23");
    assert_eq!(read_at(&file, &mut buffer, 9).unwrap(), 0);
}
