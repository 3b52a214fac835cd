use super::super::testing::Machine;
use super::*;

const WRAPPER: &str =
    "distributionBase=GRADLE_USER_HOME\ndistributionUrl=https\\://host.example/distributions/gradle-8.5-bin.zip\n";

fn machine() -> Machine {
    let machine = Machine::new();
    machine.write("project/build.gradle.kts", "plugins {}");
    machine.write("project/gradle/wrapper/gradle-wrapper.properties", WRAPPER);
    machine
}

#[test]
fn what_gradle_notes_about_this_machine_stays_out() {
    let machine = machine();
    for path in [
        "modules-2/files-2.1/org.x/y/1.0/abc/y-1.0.jar",
        "modules-2/metadata-2.106/module-metadata.bin",
        "modules-2/modules-2.lock",
        "modules-2/gc.properties",
        "jars-9/abc/build.jar",
        "transforms-3/abc/transformed/x.jar",
        "8.5/transforms/abc/transformed/x.jar",
        "8.5/kotlin-dsl/accessors/abc/x.class",
        "8.5/generated-gradle-jars/api.jar",
        "8.5/fileHashes/fileHashes.bin",
        "8.5/executionHistory/executionHistory.bin",
        "journal-1/file-access.bin",
        "build-cache-1/0123",
        "build-cache-1/build-cache-1.lock",
        "CACHEDIR.TAG",
    ] {
        machine.write(&format!("home/.gradle/caches/{path}"), "x");
    }
    machine.write_aged("home/.gradle/caches/build-cache-1/4567", "x", UNUSED + Duration::from_secs(1));
    machine.write("home/.gradle/daemon/8.5/daemon.log", "x");
    assert_eq!(
        machine.taken(&RECIPE, "gradle-caches"),
        [
            "8.5/generated-gradle-jars/api.jar",
            "8.5/kotlin-dsl/accessors/abc/x.class",
            "8.5/transforms/abc/transformed/x.jar",
            "build-cache-1/0123",
            "jars-9/abc/build.jar",
            "modules-2/files-2.1/org.x/y/1.0/abc/y-1.0.jar",
            "modules-2/metadata-2.106/module-metadata.bin",
            "transforms-3/abc/transformed/x.jar",
        ]
    );
}

#[test]
fn a_distribution_of_the_wrapper_is_taken_unpacked() {
    let machine = machine();
    let dist = "home/.gradle/wrapper/dists/gradle-8.5-bin/hash";
    for file in ["gradle-8.5/bin/gradle", "gradle-8.5-bin.zip.ok", "gradle-8.5-bin.zip", "gradle-8.5-bin.zip.lck"] {
        machine.write(&format!("{dist}/{file}"), "x");
    }
    assert_eq!(
        machine.taken(&RECIPE, "gradle-wrapper"),
        ["dists/gradle-8.5-bin/hash/gradle-8.5-bin.zip.ok", "dists/gradle-8.5-bin/hash/gradle-8.5/bin/gradle"]
    );
}

#[test]
fn the_version_is_the_wrappers_else_what_gradle_says() {
    let mut machine = machine();
    assert!(machine.key(&RECIPE).starts_with("gradle-8.5-linux-x86_64-"));
    let asked = machine.asked.borrow().iter().any(|asked| asked.command.starts_with("gradle"));
    assert!(!asked, "with a wrapper Gradle is not run");
    std::fs::remove_file(machine.path("project/gradle/wrapper/gradle-wrapper.properties")).unwrap();
    assert_eq!(machine.identify(&RECIPE).warnings.len(), 1);
    machine.answer("gradle --version", "\n------\nGradle 7.6.1\n------\n\nBuild time: x\n");
    assert!(machine.key(&RECIPE).starts_with("gradle-7.6.1-linux-x86_64-"));
    assert_eq!(wrapper_version("distributionUrl = https\\://x/gradle-8.10.2-all.zip"), Some("8.10.2".into()));
    assert_eq!(wrapper_version("distributionUrl=file\\:/x.zip"), None);
}

#[test]
fn scripts_catalogues_and_locks_of_all_projects_make_the_key() {
    let machine = machine();
    let mut keys = vec![machine.key(&RECIPE)];
    for file in ["app/build.gradle", "gradle/libs.versions.toml", "app/gradle.lockfile", "buildSrc/build.gradle.kts"] {
        machine.write(&format!("project/{file}"), "x");
        keys.push(machine.key(&RECIPE));
    }
    machine.write("project/app/src/Main.java", "x");
    assert_eq!(keys.last(), Some(&machine.key(&RECIPE)));
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 5);
}

#[test]
fn gradles_home_is_where_it_was_put() {
    let mut machine = machine();
    assert_eq!(machine.place(&RECIPE, "gradle-caches"), Path::new("home/.gradle/caches"));
    machine.set("GRADLE_USER_HOME", "/gradle");
    assert_eq!(machine.place(&RECIPE, "gradle-wrapper"), Path::new("/gradle/wrapper"));
}
