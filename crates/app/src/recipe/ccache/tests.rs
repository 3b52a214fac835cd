use super::super::testing::Machine;
use super::*;

fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.answer("ccache --version", "ccache version 4.7.5\nFeatures: file-storage\n");
    machine.answer("ccache --get-config cache_dir", "HERE/ccache\n");
    machine.answer("cc --version", "cc (Debian 12.2.0-14) 12.2.0\nCopyright\n");
    machine.answer("c++ --version", "c++ (Debian 12.2.0-14) 12.2.0\n");
    machine
}

#[test]
fn of_the_cache_configuration_locks_and_what_is_half_written_stay_out() {
    let machine = machine();
    for path in [
        "0/1/abcR",
        "0/stats",
        "f/stats.lock",
        "f/2/defM.tmp.Xy12",
        "tmp/cpp_stdout.abc.i",
        "lock/x",
        "ccache.conf",
        "inode-cache-32.v1",
        "CACHEDIR.TAG",
    ] {
        machine.write(&format!("ccache/{path}"), "x");
    }
    assert_eq!(machine.taken(&RECIPE, "ccache"), ["0/1/abcR", "0/stats", "CACHEDIR.TAG"]);
}

#[test]
fn a_build_for_c_means_ccache_only_where_it_is_installed() {
    let machine = machine();
    assert!(!machine.detects(&RECIPE));
    machine.write("project/CMakeLists.txt", "project(own)");
    assert!(machine.detects(&RECIPE));
    let without = Machine::new();
    without.write("project/CMakeLists.txt", "project(own)");
    assert!(!without.detects(&RECIPE));
}

#[test]
fn the_compilers_make_the_key_and_no_source_does() {
    let mut machine = machine();
    let before = machine.identify(&RECIPE);
    assert!(before.key.as_str().starts_with("ccache-4.7.5-linux-x86_64-"), "{}", before.key);
    assert!(before.replaces, "each build adds under one key");
    machine.write("project/CMakeLists.txt", "project(own)");
    assert_eq!(machine.key(&RECIPE), before.key.as_str());
    machine.set("CC", "ccache clang-16");
    machine.answer("clang-16 --version", "Debian clang version 16.0.6\n");
    let clang = machine.identify(&RECIPE);
    assert_ne!(clang.fallbacks, before.fallbacks);
    assert_eq!(clang.settings["CC"], "Debian clang version 16.0.6");
}

#[test]
fn without_ccache_its_cache_is_where_it_would_have_it() {
    let mut machine = Machine::new();
    assert_eq!(machine.place(&RECIPE, "ccache"), Path::new("home/.cache/ccache"));
    assert_eq!(machine.identify(&RECIPE).warnings.len(), 1);
    std::fs::create_dir_all(machine.path("home/.ccache")).unwrap();
    assert_eq!(machine.place(&RECIPE, "ccache"), Path::new("home/.ccache"));
    machine.set("CCACHE_DIR", "/ccache");
    assert_eq!(machine.place(&RECIPE, "ccache"), Path::new("/ccache"));
}
