use super::*;

const STABLE: &str = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\ncommit-hash: 59807616\ncommit-date: \
                      2026-04-14\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\nLLVM version: 22.1.2";

#[test]
fn a_release_is_named_by_its_number_and_others_by_their_date_too() {
    let stable = Toolchain::parse(STABLE.to_owned(), OsStr::new("rustc")).unwrap();
    assert_eq!((stable.version.as_str(), stable.host.as_str()), ("1.95.0", "x86_64-unknown-linux-gnu"));
    let nightly = STABLE.replace("release: 1.95.0", "release: 1.97.0-nightly");
    assert_eq!(Toolchain::parse(nightly, OsStr::new("rustc")).unwrap().version, "1.97.0-nightly-2026-04-14");
}

#[test]
fn another_programs_answer_is_refused() {
    for answer in ["", "gcc (Debian) 12.2.0", "release: 1.0.0"] {
        assert_eq!(Toolchain::parse(answer.to_owned(), OsStr::new("gcc")), None);
    }
}
