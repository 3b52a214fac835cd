//! Bazel: a small workspace built in one output base, and again in another.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::run::{command, succeed};

/// Actions of the workspace that are run or come from the cache: a file, an empty file, and a directory.
pub const ACTIONS: usize = 3;

const BUILD: &str = r#"
load(":tree.bzl", "tree")
genrule(name = "text", srcs = ["a.txt"], outs = ["text.txt"], cmd = "cat $< > $@; echo more >> $@; echo said")
genrule(name = "empty", outs = ["empty.txt"], cmd = ": > $@")
tree(name = "tree", src = "a.txt")
"#;

const TREE: &str = r#"
def _tree(ctx):
    out = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(
        inputs = [ctx.file.src],
        outputs = [out],
        command = "mkdir -p $1/below && cp $2 $1/top.txt && cp $2 $1/below/copy.txt && echo other > $1/below/other.txt",
        arguments = [out.path, ctx.file.src.path],
    )
    return [DefaultInfo(files = depset([out]))]

tree = rule(implementation = _tree, attrs = {"src": attr.label(allow_single_file = True)})
"#;

/// A small workspace of its own.
#[derive(Debug)]
pub struct Workspace {
    program: PathBuf,
    home: TempDir,
}

/// What Bazel said of one build.
#[derive(Clone, Debug)]
pub struct Report {
    /// How many actions came from the remote cache.
    pub remote_hits: usize,
    /// Everything it printed.
    pub log: String,
}

impl Report {
    /// Whether it complained of its remote cache, which it does without failing.
    pub fn warned(&self) -> bool {
        self.log.lines().any(|line| line.starts_with("WARNING") && line.contains("Remote Cache"))
    }
}

impl Workspace {
    /// A workspace whose inputs no other has, so that its first build misses whatever a server holds.
    ///
    /// # Panics
    /// When its files cannot be written.
    pub fn new(program: &Path) -> Self {
        let home = tempfile::tempdir().expect("a folder for the workspace");
        let folder = home.path().join("workspace");
        fs::create_dir(&folder).expect("the workspace can be made");
        let unique = format!("{}\n", home.path().display());
        for (name, content) in [("WORKSPACE", ""), ("BUILD", BUILD), ("tree.bzl", TREE), ("a.txt", unique.as_str())] {
            fs::write(folder.join(name), content).expect("a file of the workspace can be written");
        }
        Self { program: program.to_owned(), home }
    }

    /// Builds everything in the output base of this name, with the remote cache at `url`, such as
    /// `http://127.0.0.1:7979/http/bazel/demo`.
    ///
    /// # Panics
    /// When the build fails, whatever state the cache is in.
    pub fn build(&self, base: &str, url: &str, options: &[&str]) -> Report {
        let mut command = command(&self.program, self.home.path());
        command.current_dir(self.home.path().join("workspace"));
        // A server process would outlive the test.
        command.arg("--batch").arg(format!("--output_base={}", self.home.path().join(base).display()));
        command.args(["build", "//:text", "//:empty", "//:tree", "--symlink_prefix=/", "--color=no", "--curses=no"]);
        command.arg(format!("--remote_cache={url}")).args(options);
        let said = succeed(&mut command);
        let log = said.stderr + &said.stdout;
        Report { remote_hits: remote_hits(&log), log }
    }

    /// What the build in the output base of this name made.
    ///
    /// # Panics
    /// When an output is missing.
    pub fn outputs(&self, base: &str) -> Vec<Vec<u8>> {
        let root = self.home.path().join(base).join("execroot");
        // The name of the workspace, and that of the configuration, are each version's own.
        let below = |folder: &Path| fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        let bin = below(&root)
            .flat_map(|workspace| below(&workspace.path().join("bazel-out")))
            .map(|configuration| configuration.path().join("bin"))
            .find(|bin| bin.join("text.txt").is_file())
            .unwrap_or_else(|| panic!("{} has no outputs", root.display()));
        ["text.txt", "empty.txt", "tree/top.txt", "tree/below/copy.txt", "tree/below/other.txt"]
            .map(|name| fs::read(bin.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")))
            .into()
    }
}

/// The count before the words `remote cache hit` in Bazel's summary.
fn remote_hits(log: &str) -> usize {
    log.split("remote cache hit").next().filter(|before| before.len() < log.len()).map_or(0, |before| {
        let number = before.trim_end().rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        number.parse().unwrap_or(0)
    })
}

/// Builds twice, the second time in another output base, and expects all of that to come from the remote cache.
///
/// # Panics
/// When it does not, by Bazel's own report.
pub fn cold_then_warm(program: &Path, url: &str) {
    let workspace = Workspace::new(program);
    let cold = workspace.build("cold", url, &[]);
    assert_eq!(cold.remote_hits, 0, "{}", cold.log);
    assert!(!cold.warned(), "{}", cold.log);
    let warm = workspace.build("warm", url, &[]);
    assert_eq!(warm.remote_hits, ACTIONS, "{}", warm.log);
    assert!(!warm.warned(), "{}", warm.log);
    assert_eq!(workspace.outputs("warm"), workspace.outputs("cold"));
}

#[cfg(test)]
mod tests;
