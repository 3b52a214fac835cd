use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::prepare;
use crate::context::explain;

#[test]
fn a_file_in_the_place_of_the_data_directory_is_told_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let way_out = "(name another directory with --data or LARDER_DATA)";
    let said = explain(&prepare(&file).unwrap_err());
    assert_eq!(said, format!("open data directory: {} is a file {way_out}", file.display()));
    let within = file.join("data");
    let said = explain(&prepare(&within).unwrap_err());
    let shown = (file.display(), within.display());
    assert_eq!(
        said,
        format!("open data directory: {} is a file, so that {} cannot be made {way_out}", shown.0, shown.1)
    );
}

#[test]
fn a_data_directory_is_made_and_one_that_cannot_be_written_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("a/b");
    prepare(&data).unwrap();
    assert!(data.is_dir());
    if rustix::process::geteuid().is_root() {
        // The superuser may write everywhere but where nobody can.
        let said = explain(&prepare("/proc/larder".as_ref()).unwrap_err());
        assert!(said.starts_with("open data directory: /proc/larder cannot be made"), "{said}");
        return;
    }
    fs::set_permissions(&data, fs::Permissions::from_mode(0o500)).unwrap();
    let said = explain(&prepare(&data).unwrap_err());
    assert!(said.contains("cannot be written") && said.contains("--data"), "{said}");
}
