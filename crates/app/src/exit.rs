//! Exit codes: one table, in help and in the documentation.

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; or a miss; or a fault without `--strict`: a cache never fails a build.
    Success,
    /// A fault with `--strict`; or one of a command that no build waits for, such as `serve` or `token`.
    Fault,
    /// The command line was wrong.
    Usage,
    /// `verify`, `fsck`, `doctor` or `check-bucket` found something wrong.
    Found,
    /// The command that `job run` ran ended so.
    Command(u8),
}

impl Exit {
    /// All codes with their meaning, as help and documentation show them.
    pub const TABLE: [(Self, &'static str); 4] = [
        (Self::Success, "done, or a miss, or a fault without --strict: a cache never fails a build"),
        (Self::Fault, "a fault with --strict (a miss is none); or one of serve, token, fsck, check-bucket or a helper"),
        (Self::Usage, "the command line was wrong"),
        (Self::Found, "verify, fsck, doctor or check-bucket found something wrong"),
    ];

    /// The code that the process ends with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Fault => 1,
            Self::Usage => 2,
            Self::Found => 3,
            Self::Command(code) => code,
        }
    }

    /// The table as lines of help.
    pub fn help() -> String {
        let lines = Self::TABLE.map(|(code, meaning)| format!("  {}  {meaning}\n", code.code()));
        format!("Exit codes:\n{}`job run` ends as its command does.\n", lines.concat())
    }
}
