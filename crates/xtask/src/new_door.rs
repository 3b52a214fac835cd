//! `cargo xtask new-door NAME`: the folder and the line.

use std::fs;

use crate::check::is_door_name;
use crate::command;
use crate::workspace::Workspace;

const APP: &str = "crates/app/Cargo.toml";

/// What a new door consists of. It works as it is: a door for values under keys, to be changed into the protocol meant.
const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../templates/door/Cargo.toml")),
    ("README.md", include_str!("../templates/door/README.md")),
    ("src/lib.rs", include_str!("../templates/door/lib.rs")),
    ("src/answer.rs", include_str!("../templates/door/answer.rs")),
    ("src/tests.rs", include_str!("../templates/door/tests.rs")),
];

/// Makes `doors/NAME`, adds its line, and says what next.
pub(crate) fn run(workspace: &Workspace, name: &str) -> Result<(), String> {
    make(workspace, name)?;
    // Lines are as long as the name makes them.
    command::run_cargo(workspace.root(), &["fmt", "--package", &format!("door-{name}")], &[])?;
    println!("made doors/{name} and its line in {APP}; `cargo test -p door-{name}` runs its tests");
    println!("now make it speak its protocol: docs/adding-a-door.md");
    Ok(())
}

fn make(workspace: &Workspace, name: &str) -> Result<(), String> {
    if !is_door_name(name) {
        return Err(format!("new-door: `{name}` will not do: one word of lower-case letters and digits, at most 32"));
    }
    let folder = workspace.path(&format!("doors/{name}"));
    if folder.exists() {
        return Err(format!("new-door: doors/{name} is there already; nothing was changed"));
    }
    let app = with_line(&workspace.read(APP)?, name)?;
    let failed = |what: &str, error| format!("new-door: cannot write {what}: {error}");
    for (path, template) in FILES {
        let path = folder.join(path);
        let shown = path.display().to_string();
        let parent = path.parent().expect("a file of a door lies in its folder");
        fs::create_dir_all(parent).map_err(|error| failed(&shown, error))?;
        fs::write(&path, template.replace("NAME", name)).map_err(|error| failed(&shown, error))?;
    }
    fs::write(workspace.path(APP), app).map_err(|error| failed(APP, error))
}

/// The manifest with the door's line among the other doors, in order of name.
fn with_line(manifest: &str, name: &str) -> Result<String, String> {
    let line = format!("door-{name}.path = \"../../doors/{name}\"");
    let lines: Vec<&str> = manifest.lines().collect();
    let is_door = |line: &&str| line.starts_with("door-") && line.contains(".path = ");
    let first =
        lines.iter().position(is_door).ok_or_else(|| format!("new-door: {APP} has no line of a door to follow"))?;
    let after = lines[first..].iter().take_while(|other| is_door(other) && **other < line.as_str()).count();
    let mut fresh = lines[..first + after].to_vec();
    fresh.push(&line);
    fresh.extend(&lines[first + after..]);
    Ok(fresh.join("\n") + "\n")
}

#[cfg(test)]
mod tests;
