//! Turns the `door-*` lines of this crate's manifest into the table of doors, so that a new door is one folder and one
//! line. No dependency: the lines are plain.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=Cargo.toml");
    let manifest = fs::read_to_string("Cargo.toml").expect("cargo runs build scripts in the package's folder");
    let mut table = String::from(
        "/// Every door of this build, in the order of the manifest.\npub const DOORS: &[larder_door::Door] = &[\n",
    );
    for line in manifest.lines() {
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        if let Some(door) = name.strip_prefix("door-") {
            writeln!(table, "    door_{}::DOOR,", door.replace('-', "_")).expect("a string takes what is written");
        }
    }
    table.push_str("];\n");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    fs::write(Path::new(&out).join("doors.rs"), table).expect("OUT_DIR can be written");
}
