use std::fs;

use super::*;
use crate::rust::project::Selection;

fn environment(variables: &[(&str, &str)]) -> BTreeMap<OsString, OsString> {
    variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

fn project(root: &Path, variables: &[(&str, &str)]) -> Project {
    Project {
        directory: root.join("w/app"),
        cargo_home: root.join("home"),
        environment: environment(variables),
        system: "test-1".to_owned(),
        selection: Selection::default(),
    }
}

/// A directory with these configuration files in it.
fn configured(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn flat(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    let root = configured(files);
    let mut settings = BTreeMap::new();
    Configuration::read(&project(root.path(), &[])).unwrap().flatten(&mut settings);
    settings
}

#[test]
fn variables_that_reach_compilers_are_in() {
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_PROFILE_DEV_OPT_LEVEL",
        "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER",
        "RUSTC_BOOTSTRAP",
        "CC",
        "CC_x86_64-unknown-linux-gnu",
        "HOST_CC",
        "TARGET_CFLAGS",
        "CXXFLAGS",
        "OPENSSL_STATIC",
        "PKG_CONFIG_PATH",
        "CMAKE_TOOLCHAIN_FILE",
    ] {
        assert_eq!(variables(&environment(&[(name, "x")])), [(format!("env.{name}"), "x".to_owned())].into(), "{name}");
    }
}

#[test]
fn variables_that_differ_between_jobs_without_effect_are_out() {
    for name in [
        "CARGO",
        "CARGO_HOME",
        "CARGO_TERM_COLOR",
        "CARGO_TARGET_DIR",
        "CARGO_TARGET_TMPDIR",
        "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER",
        "CARGO_BUILD_JOBS",
        "CARGO_BUILD_TARGET_DIR",
        "CARGO_INCREMENTAL",
        "CARGO_HTTP_PROXY",
        "CARGO_NET_RETRY",
        "CARGO_MANIFEST_DIR",
        "CARGO_PKG_VERSION",
        "RUST_BACKTRACE",
        "RUST_LOG",
        "RUSTUP_HOME",
        "RUSTUP_TOOLCHAIN",
        "RUSTC_WORKSPACE_WRAPPER",
        "CMAKE_BUILD_PARALLEL_LEVEL",
        "CCACHE_DIR",
        "PATH",
        "HOME",
        "GITHUB_RUN_ID",
    ] {
        assert_eq!(variables(&environment(&[(name, "x")])), BTreeMap::new(), "{name}");
    }
}

#[test]
fn secrets_are_never_looked_at() {
    for name in [
        "CARGO_REGISTRY_TOKEN",
        "CARGO_REGISTRIES_INNER_TOKEN",
        "CARGO_PROFILE_TOKEN",
        "CC_API_KEY",
        "CMAKE_SECRET",
        "OPENSSL_PASSWORD",
        "PKG_CONFIG_CREDENTIALS",
    ] {
        assert_eq!(variables(&environment(&[(name, "hush")])), BTreeMap::new(), "{name}");
    }
    let settings = flat(&[(
        "home/config.toml",
        "[registry]\ntoken = 'hush'\n[registries.inner]\ntoken = 'hush'\nindex = 'https://hush@h/'\n\
         [env]\nDEPLOY_TOKEN = 'hush'\nLEVEL = '3'\n[source.inner]\nregistry = 'https://u:hush@h/i'\n[http]\nproxy = 'hush'\n",
    )]);
    let names: Vec<&str> = settings.keys().map(String::as_str).collect();
    assert_eq!(names, ["config.env.LEVEL", "config.source.inner.registry"]);
}

#[test]
fn urls_lose_their_credentials_before_they_become_part_of_a_key() {
    let root = configured(&[
        ("w/Cargo.toml", "[workspace]\nresolver = '2'\n[profile.dev]\nopt-level = 1\n"),
        ("home/config.toml", "[source.inner]\nregistry = 'https://u:hush@h/i'\n"),
    ]);
    let project = project(root.path(), &[]);
    let workspace =
        serde_json::json!({"workspace_root": root.path().join("w"), "target_directory": "/t", "packages": []});
    let workspace: Workspace = serde_json::from_value(workspace).unwrap();
    let settings = collect(&project, &Configuration::read(&project).unwrap(), &workspace).unwrap();
    assert_eq!(settings["config.source.inner.registry"], "https://h/i");
    assert_eq!(settings["manifest.profile.dev.opt-level"], "1");
    assert_eq!(settings["manifest.resolver"], "2");
    assert_eq!(settings["system"], "test-1");
    assert!(!format!("{settings:?}").contains("hush"));
}

#[test]
fn spaces_between_flags_and_the_place_of_a_wrapper_do_not_count() {
    let with = |name: &str, value: &str| variables(&environment(&[(name, value)]));
    assert_eq!(with("RUSTFLAGS", " -Copt-level=1   -g "), with("RUSTFLAGS", "-Copt-level=1 -g"));
    assert_eq!(with("RUSTC_WRAPPER", "/opt/bin/sccache"), with("RUSTC_WRAPPER", "sccache"));
    assert_eq!(with("RUSTFLAGS", ""), BTreeMap::new());
}

#[test]
fn nearer_configuration_wins_and_lists_are_joined() {
    let settings = flat(&[
        ("w/app/.cargo/config.toml", "[build]\nrustflags = ['-g']\ntarget = 'near'\n"),
        ("w/.cargo/config", "[build]\nrustflags = ['-O']\ntarget = 'far'\njobs = 3\n"),
        ("w/.cargo/config.toml", "[build]\nrustflags = ['never read beside the old name']\n"),
        (
            "home/config.toml",
            "[build]\nrustc-wrapper = '/usr/bin/sccache'\n[target.x]\nrunner = 'qemu'\nlinker = 'ld'\n",
        ),
    ]);
    assert_eq!(settings["config.build.rustflags"], "[\"-O\", \"-g\"]");
    assert_eq!(settings["config.build.target"], "near");
    assert_eq!(settings["config.target.x.linker"], "ld");
    assert!(!settings.contains_key("config.build.jobs") && !settings.contains_key("config.target.x.runner"));
    assert_eq!(settings["config.build.rustc-wrapper"], "sccache");
}

#[test]
fn included_files_count_and_a_circle_of_them_ends() {
    let settings = flat(&[
        (
            "w/.cargo/config.toml",
            "include = ['a.toml', { path = 'gone.toml', optional = true }]\n[build]\ntarget = 'own'\n",
        ),
        ("w/.cargo/a.toml", "include = 'config.toml'\n[build]\ntarget = 'included'\nrustflags = ['-g']\n"),
    ]);
    assert_eq!(settings["config.build.target"], "own");
    assert_eq!(settings["config.build.rustflags"], "[\"-g\"]");
}

#[test]
fn configuration_that_cannot_be_read_is_named() {
    let root = configured(&[("w/.cargo/config.toml", "[build\n")]);
    let error = Configuration::read(&project(root.path(), &[])).unwrap_err();
    assert!(error.message().contains("w/.cargo/config.toml") && error.hint().is_some(), "{error}");
}

#[test]
fn targets_come_from_the_user_then_the_environment_then_the_configuration() {
    let root = configured(&[("w/.cargo/config.toml", "[build]\ntarget = ['c', 'd']\n")]);
    let mut project = project(root.path(), &[]);
    let configuration = Configuration::read(&project).unwrap();
    assert_eq!(configuration.targets(&project), ["c", "d"]);
    project.environment = environment(&[("CARGO_BUILD_TARGET", "b")]);
    assert_eq!(configuration.targets(&project), ["b"]);
    project.selection.targets = vec!["a".to_owned()];
    assert_eq!(configuration.targets(&project), ["a"]);
    assert_eq!(configuration.rustc(&project), "rustc");
}

#[test]
fn code_for_this_very_processor_is_noticed() {
    let wants = |name: &str, value: &str| wants_native_cpu(&[(name.to_owned(), value.to_owned())].into());
    assert!(wants("env.RUSTFLAGS", "-C target-cpu=native"));
    assert!(wants("config.build.rustflags", "[\"-Ctarget-cpu=native\"]"));
    assert!(!wants("env.RUSTFLAGS", "-C target-cpu=x86-64-v3"));
}
