use super::super::testing::Machine;
use super::*;

fn machine(lock: &str) -> Machine {
    let mut machine = Machine::new();
    machine.answer("python3 --version", "Python 3.11.7\n");
    machine.write(&format!("project/{lock}"), "lock");
    machine
}

#[test]
fn of_pips_cache_downloads_and_built_wheels_are_taken() {
    let mut machine = machine("requirements-dev.txt");
    machine.answer("pip cache dir", "HERE/pip\n");
    machine.write("pip/http-v2/a/b/c/abc.body", "x");
    machine.write("pip/wheels/aa/bb/own-1.0-py3-none-any.whl", "x");
    machine.write("pip/http-v2/a/b/c/abc.lock", "");
    machine.write("pip/selfcheck/aa", "x");
    let taken = machine.taken(&RECIPE, "pip");
    assert_eq!(taken, ["http-v2/a/b/c/abc.body", "wheels/aa/bb/own-1.0-py3-none-any.whl"]);
    let key = machine.key(&RECIPE);
    assert!(key.starts_with("python-3.11-pip-linux-x86_64-"), "{key}");
}

#[test]
fn of_uvs_cache_what_is_this_machines_own_stays_out() {
    let mut machine = machine("uv.lock");
    machine.answer("uv cache dir", "HERE/uv\n");
    for path in [
        "archive-v0/zI1d/own/poetry.lock",
        "simple-v28/pypi/own.rkyv",
        "wheels-v8/pypi/own/1.0.msgpack",
        "wheels-v8/pypi/own/1.0.lock",
        "interpreter-v5/ee29/6a30.msgpack",
        "environments-v2/script/bin/python",
        "builds-v0/.tmpx/y",
        "sdists-v11/.gitignore",
        ".lock",
        "CACHEDIR.TAG",
        ".tmpabc/x",
    ] {
        machine.write(&format!("uv/{path}"), "x");
    }
    std::os::unix::fs::symlink("../../../archive-v0/zI1d", machine.path("uv/wheels-v8/pypi/own/1.0")).unwrap();
    assert_eq!(
        machine.taken(&RECIPE, "uv"),
        [
            "CACHEDIR.TAG",
            "archive-v0/zI1d/own/poetry.lock",
            "sdists-v11/.gitignore",
            "simple-v28/pypi/own.rkyv",
            "wheels-v8/pypi/own/1.0",
            "wheels-v8/pypi/own/1.0.msgpack",
        ]
    );
    assert!(machine.key(&RECIPE).starts_with("python-3.11-uv-linux-x86_64-"));
}

#[test]
fn uv_counts_for_the_files_of_pip_where_it_is_installed() {
    let mut machine = machine("requirements.txt");
    let roots = |machine: &Machine| -> Vec<&'static str> {
        machine.identify(&RECIPE).places.iter().map(|(name, _)| *name).collect()
    };
    assert_eq!(roots(&machine), ["pip"]);
    machine.answer("uv --version", "uv 0.13.9\n");
    assert_eq!(roots(&machine), ["pip", "uv"]);
}

#[test]
fn a_manifest_counts_only_where_there_is_no_lock() {
    let machine = machine("pyproject.toml");
    assert!(machine.detects(&RECIPE));
    let before = machine.key(&RECIPE);
    machine.write("project/pyproject.toml", "changed");
    assert_ne!(machine.key(&RECIPE), before);
    machine.write("project/uv.lock", "lock");
    let locked = machine.key(&RECIPE);
    machine.write("project/pyproject.toml", "changed again");
    assert_eq!(machine.key(&RECIPE), locked);
}

#[test]
fn another_python_or_system_shares_nothing_and_a_patch_release_does() {
    let mut machine = machine("requirements.txt");
    let before = machine.key(&RECIPE);
    machine.answer("python3 --version", "Python 3.11.9\n");
    assert_eq!(machine.key(&RECIPE), before);
    machine.answer("python3 --version", "Python 3.12.0\n");
    assert_ne!(machine.key(&RECIPE), before);
    assert_eq!(minor_version("Python 3.14.0rc1"), Some("3.14".into()));
    assert_eq!(minor_version("pyenv: no such command"), None);
}

#[test]
fn without_the_tools_their_caches_are_where_they_would_have_them() {
    let mut machine = Machine::new();
    machine.write("project/requirements.txt", "x");
    machine.write("project/uv.lock", "x");
    let places = |machine: &Machine| ["pip", "uv"].map(|root| machine.place(&RECIPE, root));
    assert_eq!(places(&machine), ["home/.cache/pip", "home/.cache/uv"].map(PathBuf::from));
    assert_eq!(machine.identify(&RECIPE).warnings.len(), 1);
    machine.set("PIP_CACHE_DIR", "/pip");
    machine.set("UV_CACHE_DIR", "relative");
    assert_eq!(places(&machine), ["/pip", "project/relative"].map(PathBuf::from));
}
