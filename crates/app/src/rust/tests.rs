//! Cargo is the oracle here: it says what it finds fresh.

mod fixture;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::*;
use crate::program::{Invocation, run_process};
use fixture::{Fixture, Message, restore, snapshot};

/// What the fixture is built with: profiles and kinds of check that jobs use side by side.
const BUILDS: [&[&str]; 4] = [&["build"], &["build", "--release"], &["test", "--no-run"], &["clippy", "--all-targets"]];

/// The built workspace that most tests look at; `None` when crates.io is away.
fn built() -> Option<MutexGuard<'static, Fixture>> {
    static BUILT: OnceLock<Option<Mutex<Fixture>>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let fixture = Fixture::with_dependencies()?;
        for build in BUILDS {
            fixture.build(build);
        }
        fixture.write("home/credentials.toml", "[registry]\ntoken = \"hush\"\n");
        fixture.write("home/bin/tool", "a program of the machine's owner");
        Some(Mutex::new(fixture))
    });
    built.as_ref().map(|fixture| fixture.lock().unwrap_or_else(PoisonError::into_inner))
}

fn names(listing: &Listing) -> BTreeSet<&Path> {
    listing.paths.iter().map(PathBuf::as_path).collect()
}

/// Puts `plan`'s files, and only those, where target directory and `CARGO_HOME` were, and gives all sources new times.
/// Everything is as it was when this is dropped.
struct Elsewhere {
    moved: Vec<(PathBuf, PathBuf)>,
}

impl Elsewhere {
    fn restored(fixture: &Fixture, plan: &RustPlan) -> Self {
        let aside = fixture.directory.path().join("aside");
        fs::create_dir(&aside).unwrap();
        let mut moved = Vec::new();
        for (name, place, listing) in
            [("work", &plan.identity.work, &plan.work), ("home", &plan.identity.cargo_home, &plan.cargo_home)]
        {
            let original = aside.join(name);
            fs::rename(place, &original).unwrap();
            restore(listing, &original, place);
            moved.push((original, place.clone()));
        }
        for (path, _, _) in snapshot(&fixture.project_directory()) {
            if !path.starts_with(&plan.identity.work) {
                fs::write(&path, fs::read(&path).unwrap()).unwrap();
            }
        }
        Self { moved }
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        for (original, place) in &self.moved {
            fs::remove_dir_all(place).unwrap();
            fs::rename(original, place).unwrap();
        }
        fs::remove_dir(self.moved[0].0.parent().unwrap()).unwrap();
    }
}

fn artifacts(messages: &[Message]) -> impl Iterator<Item = &Message> {
    messages.iter().filter(|message| message.reason == "compiler-artifact")
}

fn not_fresh(messages: &[Message]) -> Vec<&str> {
    let stale = artifacts(messages).filter(|message| message.is_third_party() && message.fresh == Some(false));
    stale.map(|message| message.package_id.as_str()).collect()
}

fn assert_only_own_crates_compile(messages: &[Message]) {
    assert_eq!(not_fresh(messages), Vec::<&str>::new());
    assert!(artifacts(messages).filter(|message| message.is_third_party()).count() >= 5);
    assert!(artifacts(messages).any(|message| !message.is_third_party() && message.fresh == Some(false)));
}

#[test]
fn after_a_restore_cargo_compiles_only_the_workspaces_own_crates() {
    let Some(fixture) = built() else { return };
    let plan = fixture.plan();
    assert_eq!(plan.warnings, Vec::<String>::new());
    let elsewhere = Elsewhere::restored(&fixture, &plan);
    for build in BUILDS {
        let messages = fixture.build(&[build, &["--offline"]].concat());
        assert_only_own_crates_compile(&messages);
    }
    // The oracle sees a gap where there is one.
    for library in plan.work.paths.iter().filter(|path| path.to_string_lossy().contains("debug/deps/liblz4_sys-")) {
        fs::remove_file(plan.identity.work.join(library)).unwrap();
    }
    assert!(!not_fresh(&fixture.build(&["build", "--offline"])).is_empty());
    drop(elsewhere);
}

#[test]
fn every_file_that_cargo_reports_for_a_dependency_is_taken_and_none_of_the_workspace() {
    let Some(fixture) = built() else { return };
    let plan = fixture.plan();
    let taken = names(&plan.work);
    let mut seen = BTreeSet::new();
    for build in BUILDS {
        for message in fixture.build(build) {
            let files = message.filenames.iter().filter_map(|file| file.strip_prefix(&plan.identity.work).ok());
            for file in files {
                assert_eq!(
                    taken.contains(file),
                    message.is_third_party(),
                    "{} of {}",
                    file.display(),
                    message.package_id
                );
            }
            if let Some(out) = message.out_dir.as_ref().and_then(|out| out.strip_prefix(&plan.identity.work).ok()) {
                assert!(taken.iter().any(|path| path.starts_with(out)), "{}", out.display());
            }
            seen.insert(message.package_id);
        }
    }
    for package in ["itoa@0.4", "itoa@1.0.15", "lz4-sys@", "paste@", "pin-project-lite@", "fastrand@", "git-dep#0.3.0"]
    {
        assert!(seen.iter().any(|id| id.contains(package)), "{package} was not built: {seen:?}");
    }
    assert!(taken.iter().all(|path| !path.components().any(|name| name.as_os_str() == "incremental")));
    assert!(taken.iter().all(|path| !path.to_string_lossy().contains("app-")));
    assert_eq!(plan.nothing_to_save(), None);
    assert_eq!(plan.identity.key, identify(&fixture.project(), &run_process).unwrap().key);
    assert_eq!(plan.summary.stale_units, 0, "{:?}", plan.summary);
    assert!(plan.summary.own_units >= 4, "{:?}", plan.summary);
    assert_eq!(plan.summary.checkouts, 1);
}

#[test]
fn of_cargos_home_only_what_the_lock_names_is_taken() {
    let Some(fixture) = built() else { return };
    // Another project left these.
    let registry = fs::read_dir(fixture.home().join("registry/cache")).unwrap().next().unwrap().unwrap().file_name();
    let registry = registry.to_str().unwrap();
    fixture.write(&format!("home/registry/cache/{registry}/serde-1.0.0.crate"), "not in the lock");
    fixture.write(&format!("home/registry/index/{registry}/.cache/se/rd/serde"), "not in the lock");
    let plan = fixture.plan();
    let taken: Vec<String> = plan.cargo_home.paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let allowed = ["registry/index/", "registry/cache/", "git/db/", "git/checkouts/"];
    for path in &taken {
        assert!(allowed.iter().any(|allowed| path.starts_with(allowed)), "{path}");
        assert!(!path.contains("serde") && !path.contains("FETCH_HEAD") && !path.contains("/hooks"), "{path}");
    }
    assert!(taken.contains(&format!("registry/cache/{registry}/itoa-1.0.15.crate")));
    assert!(taken.contains(&format!("registry/index/{registry}/config.json")));
    assert!(taken.contains(&format!("registry/index/{registry}/.cache/it/oa/itoa")));
    assert!(plan.summary.archives >= 7, "{:?}", plan.summary);
}

#[test]
fn a_torn_archive_is_left_out_and_named() {
    let Some(fixture) = built() else { return };
    let whole = fixture.plan();
    let archive = whole.cargo_home.paths.iter().find(|path| path.ends_with("itoa-1.0.15.crate")).unwrap();
    let absolute = fixture.home().join(archive);
    let bytes = fs::read(&absolute).unwrap();
    fs::write(&absolute, &bytes[..bytes.len() / 2]).unwrap();
    let torn = fixture.plan();
    fs::write(&absolute, &bytes).unwrap();
    assert!(!names(&torn.cargo_home).contains(archive.as_path()));
    assert_eq!(torn.summary.archives, whole.summary.archives - 1);
    assert!(torn.warnings.iter().any(|warning| warning.contains("itoa-1.0.15.crate")), "{:?}", torn.warnings);
}

#[test]
fn planning_changes_nothing_on_disk() {
    let Some(fixture) = built() else { return };
    let unchanged = |before: &Path| {
        let files = snapshot(before);
        // Cargo notes there, at every call, when it last used which download.
        files.into_iter().filter(|(path, _, _)| !path.to_string_lossy().contains("/home/.")).collect::<Vec<_>>()
    };
    let before = unchanged(fixture.directory.path());
    fixture.plan();
    assert_eq!(unchanged(fixture.directory.path()), before);
}

/// Puts lock and target directory back as they were.
struct Before {
    lock: (PathBuf, Vec<u8>),
    work: (PathBuf, PathBuf),
}

impl Before {
    fn of(fixture: &Fixture, work: &Path) -> Self {
        let lock = fixture.project_directory().join("Cargo.lock");
        let aside = fixture.directory.path().join("before");
        let mut everything = Walk::new(work);
        everything.add(Path::new(""), &|_| true, &mut Vec::new());
        restore(&everything.finish(), work, &aside);
        Self { lock: (lock.clone(), fs::read(&lock).unwrap()), work: (work.to_owned(), aside) }
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        fs::write(&self.lock.0, &self.lock.1).unwrap();
        fs::remove_dir_all(&self.work.0).unwrap();
        fs::rename(&self.work.1, &self.work.0).unwrap();
    }
}

#[test]
fn after_a_version_changed_what_was_built_on_the_old_one_is_left_out() {
    let Some(fixture) = built() else { return };
    let first = fixture.plan();
    let work = &first.identity.work;
    let _before = Before::of(&fixture, work);
    let files = |package: &str, messages: &[Message]| -> BTreeSet<PathBuf> {
        let of_package = artifacts(messages).filter(|message| message.package_id.contains(package));
        of_package.flat_map(|message| &message.filenames).map(|file| file.strip_prefix(work).unwrap().into()).collect()
    };

    let old = fixture.build(&["build"]);
    assert!(fixture.cargo(&["update", "-p", "libc", "--precise", "0.2.170"]).status.success());
    let new = fixture.build(&["build"]);
    let second = fixture.plan();
    let taken = names(&second.work);
    // One is the package itself, the other was built on it; its build script was not.
    for package in ["libc@", "lz4-sys@"] {
        let (old, new) = (files(package, &old), files(package, &new));
        assert!(old.difference(&new).count() >= 2 && new.iter().all(|file| taken.contains(file.as_path())));
        for gone in old.difference(&new) {
            assert!(work.join(gone).exists(), "cargo removed {} by itself", gone.display());
            assert!(!taken.contains(gone.as_path()), "{}", gone.display());
        }
    }
    assert!(files("paste@", &old).iter().all(|file| taken.contains(file.as_path())));
    assert!(second.summary.stale_units > 0);
    assert_ne!(second.identity.key, first.identity.key);
    assert_eq!(second.identity.fallbacks, first.identity.fallbacks);
    assert!(second.identity.key.as_str().starts_with(&first.identity.fallbacks[0]));
}

#[test]
fn under_another_cargo_home_cargo_takes_nothing_as_fresh_so_the_key_is_another() {
    let Some(mut fixture) = built() else { return };
    let plan = fixture.plan();
    let _before = Before::of(&fixture, &plan.identity.work);
    let build = ["build", "-p", "pin-project-lite", "--offline"];
    assert_eq!(not_fresh(&fixture.build(&build)), Vec::<&str>::new());

    let (home, elsewhere) = (fixture.home(), fixture.directory.path().join("home-elsewhere"));
    restore(&plan.cargo_home, &home, &elsewhere);
    fixture.set("CARGO_HOME", elsewhere.clone());
    assert_ne!(not_fresh(&fixture.build(&build)), Vec::<&str>::new());
    assert_ne!(fixture.plan().identity.key, plan.identity.key);
    fixture.set("CARGO_HOME", home);
    fs::remove_dir_all(elsewhere).unwrap();
}

#[test]
fn the_new_layout_in_a_build_directory_of_its_own_is_saved_and_restored() {
    let Some(mut fixture) = Fixture::with_dependencies() else { return };
    fixture.set("RUSTC_BOOTSTRAP", "1");
    fixture.set("CARGO_UNSTABLE_BUILD_DIR_NEW_LAYOUT", "true");
    let build_directory = fixture.directory.path().join("build-dir");
    fixture.set("CARGO_BUILD_BUILD_DIR", build_directory.clone());
    fixture.build(&["build"]);
    assert!(!build_directory.join("debug/.fingerprint").exists(), "this is not the new layout");

    let plan = fixture.plan();
    assert_eq!(plan.identity.work, build_directory);
    assert_eq!(plan.nothing_to_save(), None);
    assert!(plan.work.paths.iter().all(|path| !path.starts_with("debug/build/app") && path.starts_with("debug/build")));
    let own = plan.work.paths.iter().filter(|path| path.ends_with("fingerprint/lib-itoa"));
    assert_eq!(own.count(), 2, "two versions from the registry, and not the member of the same name");
    let _elsewhere = Elsewhere::restored(&fixture, &plan);
    assert_only_own_crates_compile(&fixture.build(&["build", "--offline"]));
}

#[test]
fn vendored_packages_built_for_a_named_target_are_saved_and_restored() {
    let Some(mut fixture) = Fixture::without_native_code() else { return };
    let vendored = fixture.cargo(&["vendor", "--locked", "vendored"]);
    assert!(vendored.status.success(), "{}", String::from_utf8_lossy(&vendored.stderr));
    fixture.write("project/.cargo/config.toml", &String::from_utf8(vendored.stdout).unwrap());
    let target = toolchain_host(&fixture);
    fixture.set("CARGO_BUILD_TARGET", target.clone());
    fixture.build(&["build"]);

    let plan = fixture.plan();
    let taken = names(&plan.work);
    assert!(taken.iter().any(|path| path.starts_with(Path::new(&target).join("debug/deps"))));
    assert!(taken.iter().any(|path| path.starts_with("debug/deps") && path.extension().is_some_and(|end| end == "so")));
    let original = fixture.directory.path().join("original");
    fs::rename(&plan.identity.work, &original).unwrap();
    restore(&plan.work, &original, &plan.identity.work);
    assert_only_own_crates_compile(&fixture.build(&["build"]));
}

fn toolchain_host(fixture: &Fixture) -> String {
    let project = fixture.project();
    Toolchain::probe(&project, &run_process, OsStr::new("rustc")).unwrap().host
}

#[test]
fn a_project_that_was_never_built_has_nothing_to_save() {
    let fixture = Fixture::empty();
    fixture.write("project/Cargo.toml", "[package]\nname = \"lonely\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    fixture.write("project/src/lib.rs", "");
    assert!(fixture.cargo(&["generate-lockfile", "--offline"]).status.success());
    let plan = fixture.plan();
    assert!(plan.nothing_to_save().unwrap().contains("nothing was built"), "{plan:?}");
    assert!(!plan.identity.work.exists());
    assert_eq!((&plan.work, &plan.cargo_home), (&Listing::default(), &Listing::default()));

    fixture.build(&["build"]);
    let plan = fixture.plan();
    assert!(plan.nothing_to_save().unwrap().contains("registry"), "{plan:?}");
    assert_eq!(plan.work, Listing::default());
}

#[test]
fn a_missing_or_stale_lock_is_said_plainly_and_never_written() {
    let fixture = Fixture::empty();
    let manifest = "[package]\nname = \"lonely\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    fixture.write("project/Cargo.toml", manifest);
    fixture.write("project/src/lib.rs", "");
    let lock_path = fixture.project_directory().join("Cargo.lock");
    for missing in
        [identify(&fixture.project(), &run_process).map(drop), plan(&fixture.project(), &run_process).map(drop)]
    {
        let error = missing.unwrap_err();
        assert!(error.message().contains("there is no"), "{error}");
        assert!(error.hint().unwrap().contains("cargo generate-lockfile"));
        assert!(!lock_path.exists());
    }
    assert!(fixture.cargo(&["generate-lockfile", "--offline"]).status.success());
    let lock = fs::read(&lock_path).unwrap();
    fixture.write("project/Cargo.toml", &manifest.replace("0.1.0", "0.2.0"));
    let error = plan(&fixture.project(), &run_process).unwrap_err();
    assert!(error.message().contains("does not fit the manifests"), "{error}");
    assert_eq!(fs::read(&lock_path).unwrap(), lock);
}

#[test]
fn cargo_is_never_asked_without_locked_and_a_key_never_needs_the_network() {
    let fixture = Fixture::empty();
    fixture.write("project/Cargo.toml", "[package]\nname = \"lonely\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    fixture.write("project/src/lib.rs", "");
    assert!(fixture.cargo(&["generate-lockfile", "--offline"]).status.success());
    let asked = std::cell::RefCell::new(Vec::new());
    let recording = |invocation: &Invocation<'_>| {
        asked.borrow_mut().push(invocation.to_string());
        run_process(invocation)
    };
    identify(&fixture.project(), &recording).unwrap();
    let for_key = asked.take();
    plan(&fixture.project(), &recording).unwrap();
    let for_plan = asked.take();
    assert!(for_key.len() == 2 && for_plan.len() == 3, "{for_key:?} {for_plan:?}");
    for asked in for_key.iter().chain(&for_plan).filter(|asked| asked.starts_with("cargo")) {
        assert!(asked.contains("--locked"), "{asked}");
        assert!(asked.contains("--offline") || asked.contains("--no-deps"), "{asked}");
    }
}

#[test]
fn code_for_this_very_processor_makes_the_processor_part_of_the_key() {
    let mut fixture = Fixture::empty();
    fixture.write("project/Cargo.toml", "[package]\nname = \"lonely\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    fixture.write("project/src/lib.rs", "");
    assert!(fixture.cargo(&["generate-lockfile", "--offline"]).status.success());
    assert!(!identify(&fixture.project(), &run_process).unwrap().settings.contains_key("native-cpu"));
    fixture.set("RUSTFLAGS", "-Ctarget-cpu=native");
    let settings = identify(&fixture.project(), &run_process).unwrap().settings;
    assert!(settings["native-cpu"].contains("target_feature"), "{settings:?}");
}

#[test]
fn outside_a_project_or_without_cargo_the_error_says_what_to_do() {
    let fixture = Fixture::empty();
    fs::create_dir_all(fixture.project_directory()).unwrap();
    let error = identify(&fixture.project(), &run_process).unwrap_err();
    assert!(error.message().contains("could not find `Cargo.toml`"), "{error}");

    let mut project = fixture.project();
    project.environment.insert("PATH".into(), "/nonexistent".into());
    let error = identify(&project, &run_process).unwrap_err();
    assert!(error.message().contains("cannot start `cargo metadata"), "{error}");
    assert!(error.hint().is_some());
}
