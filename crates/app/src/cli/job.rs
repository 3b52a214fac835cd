//! The command line of a CI job's end.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::job::queue::{Status, When};

/// Queue a command for the end of the job.
#[derive(Debug, Args)]
pub struct Post {
    /// After which end it runs.
    #[arg(value_enum)]
    pub when: When,
    /// Its name. A command that is queued under the name of another takes its place.
    pub name: String,
    /// The command and its arguments. It runs with the environment, folder, user and group that this call has, and with
    /// LARDER_JOB_STATUS.
    #[arg(value_name = "CMD", last = true, required = true)]
    pub command: Vec<OsString>,
}

/// What to do with a job.
#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// Open a job around a command, and run what was queued when the command has ended.
    ///
    /// Ends as the command did: with its exit code, or 128 and the number of the signal that ended it. Signals go on to
    /// whatever runs.
    Run {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        running: Running,
        /// The command and its arguments.
        #[arg(value_name = "CMD", trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
    /// Open a job that lasts over several steps, and print what tells the next steps of it.
    ///
    /// A small process stays and takes commands until `larder job end`, or for a day.
    Begin {
        #[command(flatten)]
        place: Place,
        /// How to print it.
        #[arg(long, value_enum, default_value = "shell")]
        format: Format,
    },
    /// End a job that was begun, and run what was queued: what was queued last comes first.
    ///
    /// Also finishes a job whose process was killed; what that had begun is not begun again.
    End {
        #[command(flatten)]
        job: Opened,
        /// How the job ended.
        #[arg(long, value_enum, default_value = "success")]
        status: Status,
        #[command(flatten)]
        running: Running,
    },
    /// Show what is queued, in the order in which it will run.
    Status {
        #[command(flatten)]
        job: Opened,
    },
    /// Take commands for a job. Started by `larder job begin`.
    #[command(hide = true)]
    Serve {
        /// The folder.
        folder: PathBuf,
    },
}

/// Where a new job keeps its state.
#[derive(Debug, Args)]
pub struct Place {
    /// The folder for the job's socket and state; made, and removed at the job's end [default: a new one in $RUNNER_TEMP,
    /// $TMPDIR or /tmp].
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// Which job.
#[derive(Debug, Args)]
pub struct Opened {
    /// The job's folder.
    #[arg(long = "job", env = "LARDER_JOB", value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

/// How the queue is run.
#[derive(Clone, Copy, Debug, Args)]
pub struct Running {
    /// How long each command of the queue may take, in seconds; then it is ended.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub deadline: u64,
}

/// How a job's variable is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For `eval "$(larder job begin)"` in a POSIX shell.
    Shell,
    /// For `larder job begin --format github >> "$GITHUB_ENV"`.
    Github,
    /// For a file of `NAME=value` lines, such as GitLab's dotenv reports.
    Dotenv,
}

/// Whether a restore queues the save that goes with it.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct AtEnd {
    /// Queue the matching save for the end of the job: when that succeeded, or always. Needs `larder job run` or `larder
    /// job begin`; without a job it is said and left out.
    #[arg(long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "success")]
    pub save_at_end: Option<SaveAfter>,
}

/// After which ends of a job a save runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SaveAfter {
    /// When it succeeded.
    Success,
    /// Also when it failed.
    Always,
}

impl From<SaveAfter> for When {
    fn from(after: SaveAfter) -> Self {
        match after {
            SaveAfter::Success => Self::Success,
            SaveAfter::Always => Self::Always,
        }
    }
}
