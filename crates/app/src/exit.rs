//! Exit codes: one table, in help and in the documentation.

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; or a miss; or a fault without `--strict`: a cache never fails a build.
    Success = 0,
    /// A fault with `--strict`; or the server could not run.
    Fault = 1,
    /// The command line was wrong.
    Usage = 2,
    /// `verify`, `fsck`, `doctor` or `check-bucket` found something wrong.
    Found = 3,
}

impl Exit {
    /// All codes with their meaning, as help and documentation show them.
    pub const TABLE: [(Self, &'static str); 4] = [
        (Self::Success, "done, or a miss, or a fault without --strict: a cache never fails a build"),
        (Self::Fault, "a fault with --strict (a miss is none), or the server could not run"),
        (Self::Usage, "the command line was wrong"),
        (Self::Found, "verify, fsck, doctor or check-bucket found something wrong"),
    ];

    /// The table as lines of help.
    pub fn help() -> String {
        let lines = Self::TABLE.map(|(code, meaning)| format!("  {}  {meaning}\n", code as u8));
        format!("Exit codes:\n{}", lines.concat())
    }
}
