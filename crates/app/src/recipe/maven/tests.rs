use std::path::Path;

use super::super::testing::Machine;
use super::*;

const POM: &str = "<?xml version=\"1.0\"?>\n<!-- <groupId>not.this</groupId> -->\n<project xmlns=\"x\">\n\
  <modelVersion>4.0.0</modelVersion>\n<dependencies><dependency><groupId>org.other</groupId>\
  <artifactId>dep</artifactId></dependency></dependencies>\n<groupId>com.own</groupId>\n\
  <empty/><artifactId> app </artifactId></project>\n";
const CHILD: &str = "<project><parent><groupId>com.own</groupId><artifactId>app</artifactId></parent><artifactId>lib</artifactId></project>";

fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.answer("mvn --version", "\u{1b}[1mApache Maven 3.8.7\u{1b}[m\nMaven home: /usr/share/maven\n");
    machine.write("project/pom.xml", POM);
    machine
}

#[test]
fn of_the_repository_the_projects_own_snapshots_and_failures_stay_out() {
    let machine = machine();
    machine.write("project/lib/pom.xml", CHILD);
    for path in [
        "com/own/app/1.0/app-1.0.jar",
        "com/own/lib/1.0/lib-1.0.jar",
        "com/own/parent/1.0/parent-1.0.pom",
        "org/other/dep/1.0/dep-1.0.jar",
        "org/other/dep/1.0/_remote.repositories",
        "org/other/dep/2.0-SNAPSHOT/dep-2.0-SNAPSHOT.jar",
        "org/other/gone/1.0/gone-1.0.jar.lastUpdated",
        "org/other/dep/resolver-status.properties",
        "org/other/dep/1.0/dep-1.0.jar.part",
    ] {
        machine.write(&format!("home/.m2/repository/{path}"), "x");
    }
    assert_eq!(
        machine.taken(&RECIPE, "maven"),
        [
            "com/own/parent/1.0/parent-1.0.pom",
            "org/other/dep/1.0/_remote.repositories",
            "org/other/dep/1.0/dep-1.0.jar",
        ]
    );
}

#[test]
fn own_coordinates_are_read_where_they_stand() {
    assert_eq!(own_folder(POM), Some(PathBuf::from("com/own/app")));
    assert_eq!(own_folder(CHILD), Some(PathBuf::from("com/own/lib")));
    for torn in ["", "<project><groupId>a</groupId>", "<project><!-- ", "<project><groupId>a<"] {
        assert_eq!(own_folder(torn), None, "{torn}");
    }
}

#[test]
fn the_version_is_read_through_colours_and_the_wrapper_is_never_run() {
    let machine = machine();
    assert!(machine.key(&RECIPE).starts_with("maven-3.8.7-linux-x86_64-"), "{}", machine.key(&RECIPE));
    machine.asked.borrow_mut().clear();
    machine
        .write("project/.mvn/wrapper/maven-wrapper.properties", "distributionUrl=https://x/apache-maven-3.9.9-bin.zip");
    let wrapped = machine.key(&RECIPE);
    assert!(wrapped.starts_with("maven-wrapper-linux-x86_64-"), "{wrapped}");
    assert!(machine.asked.borrow().iter().all(|asked| !asked.command.starts_with("mvn")));
    machine
        .write("project/.mvn/wrapper/maven-wrapper.properties", "distributionUrl=https://x/apache-maven-4.0.0-bin.zip");
    assert_ne!(machine.key(&RECIPE), wrapped);
}

#[test]
fn the_repository_is_where_options_or_settings_put_it() {
    let mut machine = machine();
    let place = |machine: &Machine| machine.place(&RECIPE, "maven");
    assert_eq!(place(&machine), Path::new("home/.m2/repository"));
    machine.write(
        "home/.m2/settings.xml",
        "<settings>\n<!-- <localRepository>/default</localRepository> -->\n\
         <localRepository>${user.home}/repo</localRepository></settings>",
    );
    assert_eq!(place(&machine), Path::new("home/repo"));
    machine.set("MAVEN_OPTS", "-Xmx1g -Dmaven.repo.local=/opts");
    assert_eq!(place(&machine), Path::new("/opts"));
    machine.write("project/.mvn/maven.config", "-T1C\n-Dmaven.repo.local=.m2\n");
    assert_eq!(place(&machine), Path::new("project/.m2"));
}

#[test]
fn a_place_that_only_maven_understands_is_told() {
    let machine = machine();
    machine.write("home/.m2/settings.xml", "<settings><localRepository>${env.X}/r</localRepository></settings>");
    let identity = machine.identify(&RECIPE);
    assert!(identity.warnings.iter().any(|said| said.contains("${env.X}/r")), "{:?}", identity.warnings);
    assert_eq!(machine.place(&RECIPE, "maven"), Path::new("home/.m2/repository"));
}
