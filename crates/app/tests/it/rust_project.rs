//! `larder rust` on a project with dependencies: what comes back is what cargo takes as fresh.

use std::fs;
use std::path::Path;
use std::process::Command;

use larder_testkit::clients::skip;

use crate::server::{Machine, Server};

/// Takes away what this test's own cargo was told, such as a target directory: the project is another.
fn forget_this_build(command: &mut Command) {
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO") || name.starts_with("RUST") && !name.starts_with("RUSTUP_") {
            command.env_remove(name);
        }
    }
}

fn cargo(project: &Path, home: &Path, arguments: &[&str]) -> std::process::Output {
    let mut cargo = Command::new(env!("CARGO"));
    forget_this_build(&mut cargo);
    cargo.args(arguments).current_dir(project).env("CARGO_HOME", home).output().unwrap()
}

/// What cargo compiled, by its own words.
fn compiled(output: &std::process::Output) -> Vec<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stderr);
    let names = said.lines().filter_map(|line| line.trim().strip_prefix("Compiling "));
    names.map(|rest| rest.split(' ').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn after_a_restore_cargo_compiles_only_the_projects_own_crate() {
    let folder = tempfile::tempdir().unwrap();
    let (project, home) = (folder.path().join("project"), folder.path().join("cargo-home"));
    fs::create_dir_all(project.join("src")).unwrap();
    fs::create_dir_all(&home).unwrap();
    fs::write(
        project.join("Cargo.toml"),
        "[package]\nname = 'own'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\nitoa = '1'\nmemchr = '2'\n[workspace]\n",
    )
    .unwrap();
    fs::write(project.join("src/main.rs"), "fn main() { println!(\"{}\", itoa::Buffer::new().format(7)); }\n").unwrap();
    if !cargo(&project, &home, &["generate-lockfile"]).status.success() {
        skip("the registry of crates cannot be reached");
        return;
    }
    let server = Server::start(&folder.path().join("data"), &[]);
    let machine = Machine::of(&server);
    let run = |command: &str| {
        let mut larder = machine.command(&project, &["--json", "rust", command]);
        forget_this_build(&mut larder);
        let output = larder.env("CARGO_HOME", &home).output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout)
            .unwrap_or_else(|_| panic!("{command}: {}", String::from_utf8_lossy(&output.stderr)))
    };
    assert_eq!(run("restore")["result"], "miss");
    assert_eq!(run("save")["result"], "skipped", "nothing is built yet, and nothing is saved");
    let key = machine.command(&project, &["rust", "key"]).env("CARGO_HOME", &home).output().unwrap();
    let key = String::from_utf8(key.stdout).unwrap();
    assert!(key.contains("host: ") && key.lines().skip(1).all(|line| line.starts_with("  ")), "{key}");
    let mut first = compiled(&cargo(&project, &home, &["build"]));
    first.sort();
    assert_eq!(first, ["itoa", "memchr", "own"]);
    assert_eq!(run("save")["result"], "saved");
    assert_eq!(run("save")["result"], "unchanged");

    fs::remove_dir_all(project.join("target")).unwrap();
    fs::remove_dir_all(&home).unwrap();
    let restored = run("restore");
    assert_eq!(restored["result"], "hit", "{restored}");
    assert_eq!(compiled(&cargo(&project, &home, &["build", "--offline", "--locked"])), ["own"]);
}
