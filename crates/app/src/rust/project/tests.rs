use std::ffi::OsString;
use std::path::Path;

use super::{Project, Selection};

#[test]
fn cargos_home_is_found_as_cargo_finds_it() {
    let project = |variables: &[(&str, &str)]| {
        let environment = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        Project::from_environment("/w".into(), environment, String::new(), Selection::default())
            .map(|project| project.cargo_home)
    };
    assert_eq!(project(&[("CARGO_HOME", "/c"), ("HOME", "/h")]).unwrap(), Path::new("/c"));
    assert_eq!(project(&[("CARGO_HOME", "c")]).unwrap(), Path::new("/w/c"));
    assert_eq!(project(&[("CARGO_HOME", ""), ("HOME", "/h")]).unwrap(), Path::new("/h/.cargo"));
    assert!(project(&[]).unwrap_err().hint().is_some());
}
