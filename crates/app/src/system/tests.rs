use super::system_release;

#[test]
fn a_system_is_named_by_its_release_file() {
    assert_eq!(system_release("NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n"), "debian-12");
    assert_eq!(system_release("ID=arch\nBUILD_ID=rolling\n"), "arch-rolling");
    assert_eq!(system_release("ID=void\n"), "void");
    assert_eq!(system_release(""), "unknown");
}
