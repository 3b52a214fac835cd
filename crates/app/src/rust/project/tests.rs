use super::*;

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

#[test]
fn a_system_is_named_by_its_release_file() {
    assert_eq!(system_release("NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n"), "debian-12");
    assert_eq!(system_release("ID=arch\nBUILD_ID=rolling\n"), "arch-rolling");
    assert_eq!(system_release("ID=void\n"), "void");
    assert_eq!(system_release(""), "unknown");
}
