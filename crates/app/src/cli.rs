//! The command line: one definition, from which help, man pages and completions are made.

mod job;
mod recipe;
mod token;

use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::config::{ByteSize, Listen, Quota, Span};

pub use token::{NewToken, TokenCommand};

pub use job::{AtEnd, Format as JobFormat, JobCommand, Place as JobPlace, Post, Running as JobRunning};
pub use recipe::{AutoCommand, Job, RustCommand, RustProject, Tool, ToolCommand};

/// The server that is meant when none is named.
pub const DEFAULT_URL: &str = "http://127.0.0.1:7979";

/// One cache for every build.
#[derive(Debug, Parser)]
#[command(name = "larder", version, about, arg_required_else_help = true, max_term_width = 100, after_help = after_help())]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Gives a refused command line its command's own usage. The one that clap makes for it counts what the environment sets as
/// given, and so as required.
pub fn with_whole_usage(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::StyledStr(made)) = error.get(ContextKind::Usage) else { return error };
    let made = made.to_string();
    let mut root = Cli::command();
    root.build();
    let mut command = &mut root;
    for word in made.split_whitespace().skip_while(|word| *word != "larder").skip(1) {
        if command.find_subcommand(word).is_none() {
            break;
        }
        command = command.find_subcommand_mut(word).expect("it was found");
    }
    let usage = command.render_usage();
    error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    error
}

/// What the help ends with.
fn after_help() -> String {
    let helpers: Vec<String> = crate::commands::helper::helpers()
        .map(|helper| format!("  larder {} {}\n      {}\n", helper.name, helper.usage, helper.about))
        .collect();
    format!("Helpers, started by client tools:\n{}\n{}", helpers.concat(), crate::exit::Exit::help())
}

/// Flags of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The server.
    #[arg(long, global = true, env = "LARDER_URL", value_name = "URL", default_value = DEFAULT_URL)]
    pub url: String,
    /// The project whose cache it is [default: from the git remote, else the folder's name].
    #[arg(long, short = 'n', global = true, env = "LARDER_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,
    /// The token, for a server that wants one. Better given by the environment than on the command line.
    #[arg(long, global = true, env = "LARDER_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Work in this folder instead of the present one.
    #[arg(long, short = 'C', global = true, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Make a fault (not a miss) exit non-zero. Without it a cache never fails a build.
    #[arg(long, global = true)]
    pub strict: bool,
    /// Print one JSON object on standard output instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print nothing but errors and what was asked for.
    #[arg(long, short = 'q', global = true)]
    pub quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server.
    Serve(Serve),
    /// Save files under a key, sending only what the server lacks.
    Save(Save),
    /// Bring back what was saved under a key, fetching only what this machine lacks.
    Restore(Restore),
    /// Save or restore the caches of every tool whose lock files are here.
    Auto {
        /// Which way.
        #[command(subcommand)]
        command: AutoCommand,
    },
    #[command(flatten)]
    Tool(Tool),
    /// Queue a command for the end of the job.
    Post(Post),
    /// Open a CI job, end it, and run what was queued for its end.
    Job {
        /// What to do with it.
        #[command(subcommand)]
        command: JobCommand,
    },
    /// List what is saved, newest first.
    List(List),
    /// Show one entry: who wrote it, when, who restored it, and what is in it.
    Show(ShowEntry),
    /// Remove entries.
    Purge(Purge),
    /// Say why a restore would hit or miss, and what is near.
    Explain(Explain),
    /// Fetch an entry and check every byte of it, writing nothing.
    Verify(Show),
    /// Show what the server holds and how it is used.
    Stats,
    /// Show what a namespace holds, who wrote it, and how much it may hold.
    Quota,
    /// Show what the server does in the background, and how it went last.
    Jobs(Jobs),
    /// Give out, list and take back tokens.
    Token {
        /// What to do.
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Have the server bring its data under the quota now.
    Gc(Gc),
    /// Check a data directory while no server uses it, or rebuild its index.
    Fsck(Fsck),
    /// Look after a server's surroundings.
    Server {
        /// What to do.
        #[command(subcommand)]
        command: ServerCommand,
    },
    /// Look for what would keep the cache from working here.
    Doctor,
    /// Print a script that completes commands in a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a folder.
    Man {
        /// The folder; made if there is none.
        directory: PathBuf,
    },
    /// Write the reference of commands and settings into a folder.
    #[command(hide = true)]
    GenerateDocs {
        /// The folder.
        directory: PathBuf,
    },
    /// A helper of a door, started by a client tool.
    #[command(external_subcommand)]
    Helper(Vec<String>),
}

/// Run the server.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen: addresses, or sockets as unix:/PATH, with commas [default: 127.0.0.1:7979].
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<Listen>,
    /// The data directory [default: $XDG_DATA_HOME/larder; /var/lib/larder for the superuser].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// How many bytes the data directory may take, such as "50 GiB" [default: what it takes now and half of what is free,
    /// at most 100 GiB].
    #[arg(long, value_name = "SIZE")]
    pub quota: Option<Quota>,
    /// The configuration file [default: $XDG_CONFIG_HOME/larder/larder.toml, if there is one].
    #[arg(long, env = "LARDER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What to do about a server's surroundings.
#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// Prove that the configured bucket gives every right and feature that Larder needs, and name what is missing.
    ///
    /// Sends some 16 MiB to objects below check/ and removes them. Credentials are looked for as Amazon's tools do.
    CheckBucket(CheckBucket),
}

/// Prove that the bucket can be used.
#[derive(Debug, Args)]
pub struct CheckBucket {
    /// The configuration file [default: as for serve].
    #[arg(long, env = "LARDER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl CheckBucket {
    /// The options with which a server reads the same configuration.
    pub fn as_serve(&self) -> Serve {
        Serve { listen: None, data: None, quota: None, config: self.config.clone() }
    }
}

/// Save files under a key.
#[derive(Debug, Args)]
pub struct Save {
    /// The key: 1 to 512 printable characters. What is saved under it does not change, unless with --replace.
    pub key: String,
    /// Files and folders, inside the present folder. Without any, a list of them is read from standard input, each ended
    /// by a newline, or by a NUL if there is one.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Replace what is saved under the key if it is different.
    #[arg(long)]
    pub replace: bool,
    #[command(flatten)]
    pub transfer: Transfer,
}

/// How content is sent.
#[derive(Clone, Copy, Debug, Args)]
pub struct Transfer {
    /// The zstd level for what is sent, -7 to 19; 3 pays where the link is slow.
    #[arg(long, value_name = "N", default_value_t = larder_base::segment::DEFAULT_LEVEL, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(-7..=19))]
    pub level: i32,
    /// How long to wait for the server to check and publish what was sent, in seconds. When that is over it goes on by
    /// itself, and the command ends.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub wait: u64,
    /// Do not wait for that at all: as `--wait 0`.
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
    /// This save was queued by a restore: where the server lets this job only read, it is left out and no fault.
    #[arg(long, hide = true)]
    pub at_end: bool,
}

impl Transfer {
    /// How long to wait for the server.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(if self.no_wait { 0 } else { self.wait })
    }
}

/// Bring back what was saved under a key.
#[derive(Debug, Args)]
pub struct Restore {
    /// The key.
    pub key: String,
    /// Where the key has nothing: the newest entry whose key begins so. May be given more than once, tried in order.
    #[arg(long, value_name = "PREFIX")]
    pub fallback: Vec<String>,
    /// Refuse an entry with more bytes than this.
    #[arg(long, value_name = "SIZE", default_value = "100 GiB")]
    pub max_size: ByteSize,
    #[command(flatten)]
    pub at_end: AtEnd,
    /// What to save under the key at the job's end, as for save; with --save-at-end.
    #[arg(value_name = "PATH", requires = "save_at_end")]
    pub paths: Vec<PathBuf>,
}

/// List what is saved.
#[derive(Debug, Args)]
pub struct List {
    /// Only keys that begin so.
    #[arg(default_value = "")]
    pub prefix: String,
    /// Only this scope, such as `trusted` or `pr/7`.
    #[arg(long)]
    pub scope: Option<String>,
    #[command(flatten)]
    pub picked: Picked,
    /// Only those that this one restored, as far as the server remembers and this token may know.
    #[arg(long, value_name = "NAME")]
    pub reader: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Go on where an earlier listing ended: its `next`.
    #[arg(long, value_name = "NEXT")]
    pub after: Option<String>,
}

/// Entries picked by more than their key.
#[derive(Clone, Debug, Default, Args)]
pub struct Picked {
    /// Only those that this one wrote.
    #[arg(long, value_name = "NAME")]
    pub writer: Option<String>,
    /// Only those that were last restored so long ago, such as "30d"; one that never was counts from when it was saved.
    #[arg(long, value_name = "SPAN")]
    pub older_than: Option<Span>,
}

/// Show one entry.
#[derive(Debug, Args)]
pub struct ShowEntry {
    #[command(flatten)]
    pub entry: Show,
    /// That of this scope; else the one that a restore would take.
    #[arg(long)]
    pub scope: Option<String>,
}

/// One entry.
#[derive(Debug, Args)]
pub struct Show {
    /// The key.
    pub key: String,
}

/// Remove entries.
#[derive(Debug, Args)]
#[command(override_usage = "larder purge [OPTIONS] KEY\n       larder purge [OPTIONS] --prefix KEY\n       \
                            larder purge [OPTIONS] <--scope SCOPE|--writer NAME|--older-than SPAN>...")]
pub struct Purge {
    /// The key; with --prefix, how the keys begin. Without one, every entry that the flags pick.
    #[arg(required_unless_present_any = ["scope", "writer", "older_than"])]
    pub key: Option<String>,
    /// Remove every entry whose key begins so.
    #[arg(long, requires = "key")]
    pub prefix: bool,
    /// Only this scope [default: the one that this token writes; for an administrator every scope].
    #[arg(long)]
    pub scope: Option<String>,
    #[command(flatten)]
    pub picked: Picked,
    /// Only say what would be removed.
    #[arg(long)]
    pub dry_run: bool,
}

/// Say why a restore would hit or miss.
#[derive(Debug, Args)]
pub struct Explain {
    /// The key.
    pub key: String,
    /// As for restore.
    #[arg(long, value_name = "PREFIX")]
    pub fallback: Vec<String>,
}

/// Show what the server does in the background.
#[derive(Debug, Args)]
pub struct Jobs {
    /// Have this job take a step now, and show how that went.
    #[arg(long, value_name = "JOB")]
    pub run: Option<String>,
}

/// Bring the server's data under its quota.
#[derive(Debug, Args)]
pub struct Gc {
    /// Change the quota first, until the server starts again.
    #[arg(long, value_name = "SIZE")]
    pub quota: Option<Quota>,
}

/// Check a data directory.
#[derive(Debug, Args)]
pub struct Fsck {
    /// The data directory [default: as for serve].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Delete the index and make it anew from the segments.
    #[arg(long)]
    pub rebuild: bool,
}

#[cfg(test)]
mod tests;
