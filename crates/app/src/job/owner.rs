//! Whose a process is, and what it may have run.

use std::fmt;

use larder_base::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// A user and a group of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Owner {
    /// This process.
    pub fn own() -> Self {
        Self { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
    }

    /// Whether it is the superuser, who alone can become others.
    pub fn is_root(self) -> bool {
        self.uid == 0
    }

    /// Says whether this process can run a command as `asked`.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when it cannot.
    pub fn can_run_as(self, asked: Self) -> Result<()> {
        if self.is_root() || self == asked {
            return Ok(());
        }
        let message = format!("the job runs as {self}, and only root can run commands as others: not as {asked}");
        Err(Error::new(ErrorKind::Denied, "queue command", message))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}, gid {}", self.uid, self.gid)
    }
}
