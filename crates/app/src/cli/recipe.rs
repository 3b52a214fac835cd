//! The command line of the recipes.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::{AtEnd, Transfer};

/// A tool whose caches can be kept.
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// Save or restore the third-party part of a Rust project's build.
    Rust {
        /// Which way.
        #[command(subcommand)]
        command: RustCommand,
    },
    /// Save or restore Go's downloaded modules and what it compiled.
    Go {
        /// Which way.
        #[command(subcommand)]
        command: ToolCommand,
    },
    /// Save or restore the stores of npm, pnpm and yarn.
    Node {
        /// Which way.
        #[command(subcommand)]
        command: ToolCommand,
    },
    /// Save or restore the caches of pip and uv.
    Python {
        /// Which way.
        #[command(subcommand)]
        command: ToolCommand,
    },
    /// Save or restore what Gradle downloaded, transformed and built.
    Gradle {
        /// Which way.
        #[command(subcommand)]
        command: ToolCommand,
    },
    /// Save or restore Maven's local repository, without the project's own part.
    Maven {
        /// Which way.
        #[command(subcommand)]
        command: ToolCommand,
    },
    /// Save or restore ccache's local cache.
    Ccache {
        /// Which way.
        #[command(subcommand)]
        command: ToolCommand,
    },
}

/// Which way.
#[derive(Debug, Subcommand)]
pub enum ToolCommand {
    /// Save the tool's caches, as far as they are of use elsewhere.
    Save {
        #[command(flatten)]
        job: Job,
        #[command(flatten)]
        saving: Saving,
    },
    /// Restore them; without an exact match, the newest that was made alike.
    Restore {
        #[command(flatten)]
        job: Job,
        #[command(flatten)]
        at_end: AtEnd,
    },
    /// Print the key, its fallbacks, what the key was made from, and where the caches lie.
    Key {
        #[command(flatten)]
        job: Job,
    },
}

/// What tells one job from another.
#[derive(Clone, Debug, Default, Args)]
pub struct Job {
    /// Part of the key: tells jobs apart that use one tool in different ways, such as `test` and `lint`.
    #[arg(long, value_name = "NAME")]
    pub job: Option<String>,
}

/// How caches are saved.
#[derive(Clone, Copy, Debug, Args)]
pub struct Saving {
    /// First have ccache, pnpm and uv remove from their caches on this machine what they hold to be unused.
    #[arg(long)]
    pub clean_up: bool,
    #[command(flatten)]
    pub transfer: Transfer,
}

/// Which way.
#[derive(Debug, Subcommand)]
pub enum AutoCommand {
    /// Save the caches of every tool whose lock files are in the folder, each under a key of its own.
    Save {
        #[command(flatten)]
        job: Job,
        #[command(flatten)]
        saving: Saving,
    },
    /// Restore the caches of every tool whose lock files are in the folder.
    Restore {
        #[command(flatten)]
        job: Job,
        #[command(flatten)]
        at_end: AtEnd,
    },
    /// Say which tools are found and by which files, and which caches that means; save nothing.
    Detect {
        #[command(flatten)]
        job: Job,
    },
}

/// Which way.
#[derive(Debug, Subcommand)]
pub enum RustCommand {
    /// Save compiled dependencies and the registry files they came from.
    Save {
        #[command(flatten)]
        project: RustProject,
        #[command(flatten)]
        transfer: Transfer,
    },
    /// Restore them; without an exact match, the newest of the same toolchain and flags.
    Restore {
        #[command(flatten)]
        project: RustProject,
        #[command(flatten)]
        at_end: AtEnd,
    },
    /// Print the key, its fallbacks, what the key was made from, and where the caches lie.
    Key {
        #[command(flatten)]
        project: RustProject,
    },
}

impl Job {
    /// The flags that say the same.
    pub fn flags(&self) -> Vec<OsString> {
        flag("--job", self.job.as_ref())
    }
}

fn flag(name: &str, value: Option<&String>) -> Vec<OsString> {
    // Joined, so that a value which looks like a flag is none.
    value.map(|value| OsString::from(format!("{name}={value}"))).into_iter().collect()
}

/// What tells one Rust build from another.
#[derive(Clone, Debug, Default, Args)]
pub struct RustProject {
    /// Part of the key: tells jobs apart whose flags cargo does not show, such as `test` and `clippy`.
    #[arg(long, value_name = "NAME")]
    pub job: Option<String>,
    /// The profile that is built, as given to cargo. Part of the key.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// The target triples that are built, as given to cargo. Part of the key.
    #[arg(long, value_name = "TRIPLE")]
    pub target: Vec<String>,
    /// The features that are built, as given to cargo. Part of the key.
    #[arg(long, short = 'F', value_name = "FEATURES", value_delimiter = ',')]
    pub features: Vec<String>,
    /// Whether all features are built. Part of the key.
    #[arg(long)]
    pub all_features: bool,
    /// Whether default features are left out. Part of the key.
    #[arg(long)]
    pub no_default_features: bool,
}

impl RustProject {
    /// The flags that say the same.
    pub fn flags(&self) -> Vec<OsString> {
        let mut flags = flag("--job", self.job.as_ref());
        flags.extend(flag("--profile", self.profile.as_ref()));
        flags.extend(self.target.iter().flat_map(|target| flag("--target", Some(target))));
        flags.extend(self.features.iter().flat_map(|feature| flag("--features", Some(feature))));
        let whole = [(self.all_features, "--all-features"), (self.no_default_features, "--no-default-features")];
        flags.extend(whole.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| OsString::from(name)));
        flags
    }
}
