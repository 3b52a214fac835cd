//! `cargo xtask check`: the table of checks, and running them.

mod bans;
mod changes;
mod deny;
mod doors;
mod layers;
mod modules;
mod sizes;
mod text;
mod tools;

use std::time::Instant;

use crate::gen_docs;
use crate::workspace::Workspace;

pub(crate) use doors::is_name as is_door_name;

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is as it should be.
    Passed,
    /// What is wrong, one item each.
    Failed(Vec<String>),
    /// The check could not run here, and this is why.
    Skipped(String),
    /// The check could not run here, for a reason that no contributor can mend; never an error.
    Excused(String),
}

impl Outcome {
    /// Passed when nothing was found wrong.
    pub(crate) fn of(violations: Vec<String>) -> Self {
        if violations.is_empty() { Self::Passed } else { Self::Failed(violations) }
    }
}

/// One rule of the house.
struct Check {
    name: &'static str,
    demands: &'static str,
    remedy: &'static str,
    run: fn(&Workspace) -> Result<Outcome, String>,
}

/// Cheap ones first, so that a slip shows in seconds.
const CHECKS: &[Check] = &[
    Check {
        name: "text",
        demands: "every file ends in one newline, without tabs, carriage returns or trailing blanks; TOML and JSON parse",
        remedy: "let the editor follow .editorconfig",
        run: text::run,
    },
    Check { name: "fmt", demands: "Rust is formatted by rustfmt", remedy: "run `cargo fmt --all`", run: tools::fmt },
    Check {
        name: "layers",
        demands: "dependencies point down, heavy crates stay with their owner, one HTTP stack and one TLS provider",
        remedy: "see the table in ARCHITECTURE.md; move the code, not the rule",
        run: layers::run,
    },
    Check {
        name: "sizes",
        demands: "no production file is longer than 800 lines (functions: clippy, 100)",
        remedy: "split it by subject; the length asks for a new noun",
        run: sizes::run,
    },
    Check {
        name: "modules",
        demands: "every Rust file is part of a crate, tests sit in files of their own, and an ignored test says why",
        remedy: "add the `mod` line, or delete the file",
        run: modules::run,
    },
    Check {
        name: "doors",
        demands: "a door has its one line in crates/app/Cargo.toml, its README.md page and its tests",
        remedy: "see docs/adding-a-door.md",
        run: doors::run,
    },
    Check {
        name: "bans",
        demands: "a crate's own clippy.toml keeps every ban of the root but those its layer is free of",
        remedy: "copy the missing entries from clippy.toml",
        run: bans::run,
    },
    Check {
        name: "changes",
        demands: "files under changes/ follow changes/TEMPLATE.md",
        remedy: "see changes/README.md",
        run: changes::run,
    },
    Check {
        name: "clippy",
        demands: "no warning from rustc or clippy, in any target",
        remedy: "mend the code, or `#[expect(lint, reason = \"...\")]` at the smallest place",
        run: tools::clippy,
    },
    Check {
        name: "docs",
        demands: "rustdoc builds without a warning, private items included",
        remedy: "run `cargo doc --workspace --no-deps --document-private-items`",
        run: tools::docs,
    },
    Check {
        name: "generated",
        demands: "docs/reference/ is what the binary says of itself",
        remedy: "run `cargo xtask gen-docs` and commit",
        run: gen_docs::check,
    },
    Check {
        name: "deny",
        demands: "licences, banned crates, sources and advisories are as deny.toml says",
        remedy: "drop the dependency, or change deny.toml and say why",
        run: deny::run,
    },
];

/// Which checks to run.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// These; all when empty.
    pub(crate) only: Vec<String>,
    /// But not these.
    pub(crate) skip: Vec<String>,
}

impl Selection {
    /// One check.
    pub(crate) fn only(name: &str) -> Self {
        Self { only: vec![name.to_owned()], skip: Vec::new() }
    }

    fn takes(&self, name: &str) -> bool {
        let among = |list: &[String]| list.iter().any(|listed| listed == name);
        (self.only.is_empty() || among(&self.only)) && !among(&self.skip)
    }
}

/// What a check that cannot run means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skips {
    /// A loud line.
    Allowed,
    /// An error.
    Forbidden,
}

/// The names of all checks.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|check| check.name)
}

/// Prints the checks and their demands.
pub(crate) fn list() {
    for check in CHECKS {
        println!("{:<10} {}", check.name, check.demands);
    }
}

/// Runs the selected checks, a line each, all of them even when one fails; false when one did.
pub(crate) fn run(workspace: &Workspace, selection: &Selection, skips: Skips) -> Result<bool, String> {
    let mut good = true;
    for check in CHECKS.iter().filter(|check| selection.takes(check.name)) {
        let began = Instant::now();
        let outcome = (check.run)(workspace).unwrap_or_else(|error| Outcome::Failed(vec![error]));
        println!("{}", line(check, &outcome, skips, began.elapsed().as_secs_f64()));
        good &= acceptable(&outcome, skips);
    }
    Ok(good)
}

fn acceptable(outcome: &Outcome, skips: Skips) -> bool {
    match outcome {
        Outcome::Passed | Outcome::Excused(_) => true,
        Outcome::Skipped(_) => skips == Skips::Allowed,
        Outcome::Failed(_) => false,
    }
}

fn line(check: &Check, outcome: &Outcome, skips: Skips, seconds: f64) -> String {
    let name = check.name;
    match outcome {
        Outcome::Passed => format!("ok       {name:<10} {seconds:>6.1} s"),
        Outcome::Excused(why) => format!("SKIPPED  {name:<10} {why}"),
        Outcome::Skipped(why) if skips == Skips::Allowed => format!("SKIPPED  {name:<10} {why}"),
        Outcome::Skipped(why) => format!("FAILED   {name:<10} skips are forbidden here: {why}"),
        Outcome::Failed(violations) => {
            let mut text = format!("FAILED   {name:<10} {seconds:>6.1} s  to do: {}", check.remedy);
            for violation in violations {
                text.push_str("\n    ");
                text.push_str(&violation.replace('\n', "\n    "));
            }
            text
        }
    }
}

#[cfg(test)]
mod tests;
