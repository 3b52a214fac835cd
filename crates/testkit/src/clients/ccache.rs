//! ccache: a few files compiled with an empty cache, and again with an empty cache.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::content::noise;

use super::run::{Said, command, succeed};

/// How many files a build compiles.
pub const FILES: u64 = 3;
const TABLE_LEN: usize = 10_000;

/// A small project of its own, and a ccache for it.
#[derive(Debug)]
pub struct Project {
    program: PathBuf,
    storage: String,
    home: TempDir,
}

/// ccache's own counts of one build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// The counter of this name in `ccache --print-stats`; 0 where this version has none.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

impl Project {
    /// A project whose sources no other has, so that its first build misses whatever a server holds.
    ///
    /// `storage` is a value of `remote_storage`, such as `http://127.0.0.1:7979/http/ccache/demo`.
    ///
    /// # Panics
    /// When its files cannot be written.
    pub fn new(program: &Path, storage: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder for the project");
        let unique = home.path().display();
        for file in 0..FILES {
            // A comment would not do: a result is also found by what is left of it after the preprocessor. The table makes
            // a value too long to lie in an index, however well it is compressed.
            let table: Vec<_> = noise(file, TABLE_LEN).iter().map(ToString::to_string).collect();
            let table = format!("const unsigned char t{file}[] = {{ {} }};\n", table.join(","));
            let source = format!("const char *const f{file} = \"{unique}\";\n{table}");
            fs::write(home.path().join(format!("f{file}.c")), source).expect("a source can be written");
        }
        Self { program: program.to_owned(), storage: storage.to_owned(), home }
    }

    /// The same project with another `remote_storage`.
    #[must_use]
    pub fn with_storage(mut self, storage: &str) -> Self {
        storage.clone_into(&mut self.storage);
        self
    }

    /// Compiles everything, with a local cache that is empty before and after.
    ///
    /// # Panics
    /// When a compilation fails, whatever state the remote storage is in.
    pub fn build(&self) -> Counts {
        let cache = self.home.path().join("cache");
        for file in 0..FILES {
            let (source, object) = (format!("f{file}.c"), format!("f{file}.o"));
            self.run(&["cc", "-c", &source, "-o", &object]);
        }
        let counts = self.run(&["--print-stats"]).stdout;
        let counts = counts.lines().filter_map(|line| {
            let (name, count) = line.split_once('\t')?;
            Some((name.to_owned(), count.parse().ok()?))
        });
        let counts = Counts(counts.collect());
        fs::remove_dir_all(cache).expect("the local cache can be removed");
        counts
    }

    /// The objects of the last build, which are removed.
    ///
    /// # Panics
    /// When one is missing.
    pub fn take_objects(&self) -> Vec<Vec<u8>> {
        let take = |file| {
            let path = self.home.path().join(format!("f{file}.o"));
            let object = fs::read(&path).expect("the build made an object of each file");
            fs::remove_file(path).expect("an object can be removed");
            object
        };
        (0..FILES).map(take).collect()
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let mut command = command(&self.program, self.home.path());
        let cache = self.home.path().join("cache");
        // The socket of a spawned helper is in the runtime folder, so each project has a helper of its own.
        command.env("CCACHE_DIR", cache).env("XDG_RUNTIME_DIR", self.home.path());
        command.env("CCACHE_REMOTE_STORAGE", &self.storage);
        command.env("CCACHE_LOGFILE", self.home.path().join("log"));
        succeed(command.args(arguments))
    }

    /// ccache's log, for the message of a test that fails.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

/// Builds twice, each time with an empty local cache, and expects the second build to come from the remote storage whole.
///
/// # Panics
/// When it does not, by ccache's own counts.
pub fn cold_then_warm(program: &Path, storage: &str) {
    warm_after_cold(Project::new(program, storage), storage);
}

/// As [`cold_then_warm`], but the second build reaches the cache in another way than the first.
///
/// # Panics
/// As there.
pub fn cold_then_warm_elsewhere(program: &Path, cold: &str, warm: &str) {
    warm_after_cold(Project::new(program, cold), warm);
}

fn warm_after_cold(project: Project, warm: &str) {
    let cold = project.build();
    let log = project.log();
    assert_eq!(cold.get("remote_storage_miss"), FILES, "{cold:?}\n{log}");
    assert_eq!(cold.get("remote_storage_hit"), 0, "{cold:?}\n{log}");
    assert_eq!(cold.get("remote_storage_error") + cold.get("remote_storage_timeout"), 0, "{cold:?}\n{log}");
    let objects = project.take_objects();
    let project = project.with_storage(warm);
    let counts = project.build();
    let log = project.log();
    assert_eq!(counts.get("remote_storage_hit"), FILES, "{counts:?}\n{log}");
    assert_eq!(counts.get("direct_cache_hit"), FILES, "manifests come from there, too: {counts:?}\n{log}");
    assert_eq!(counts.get("local_storage_hit"), 0, "{counts:?}\n{log}");
    assert_eq!(counts.get("remote_storage_error") + counts.get("remote_storage_timeout"), 0, "{counts:?}\n{log}");
    assert!(project.take_objects() == objects, "the objects differ");
}

/// Builds with a remote storage that is of no use, and expects a build like any other.
///
/// # Panics
/// When a compilation fails, or something came from the remote storage.
pub fn build_without(program: &Path, storage: &str) -> Counts {
    let project = Project::new(program, storage);
    let counts = project.build();
    assert_eq!(counts.get("cache_miss"), FILES, "{counts:?}\n{}", project.log());
    assert_eq!(counts.get("remote_storage_hit"), 0, "{counts:?}\n{}", project.log());
    assert_eq!(project.take_objects().len() as u64, FILES);
    counts
}
