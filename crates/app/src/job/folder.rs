//! A job's folder: the socket, and beside it, for its owner alone, the queue and the lock that says who owns the job.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use larder_base::{Error, ErrorKind, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::owner::Owner;
use super::queue::Queue;

/// The version of the queue's file; another is not read.
const VERSION: u32 = 1;
/// The most bytes of a socket's path: the system's bound.
const SOCKET_PATH_MAX_BYTES: usize = 107;

/// Where a job's folder is.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// A job's folder whose queue this process may change. Given up when dropped, also by a crash.
pub struct Owned {
    folder: Folder,
    _lock: File,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    queue: Queue,
}

impl Folder {
    /// The folder at a path, whether there is one or not.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }

    fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    fn queue(&self) -> PathBuf {
        self.state().join("queue.json")
    }

    /// Makes the folder of a new job, with an empty queue.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is something at its path, or no socket can have that path.
    pub fn create(path: &Path) -> Result<Owned> {
        let folder = Self(std::path::absolute(path).map_err(|source| failed("open job", path, source))?);
        let text = folder.0.to_str().filter(|text| !text.chars().any(char::is_control));
        if text.is_none() || folder.socket().as_os_str().len() > SOCKET_PATH_MAX_BYTES {
            let message = format!("{} is longer than a socket's path may be, or not plain text", folder.0.display());
            return Err(Error::invalid("open job", message).with_hint("name a shorter one with --state"));
        }
        // Others need to reach the socket where commands can run as them; the names in a folder stay hidden from them.
        let (mode, above) = (if Owner::own().is_root() { 0o711 } else { 0o700 }, folder.0.parent());
        above.map_or(Ok(()), fs::create_dir_all).map_err(|source| failed("open job", &folder.0, source))?;
        match DirBuilder::new().mode(0o700).create(&folder.0) {
            Err(error) if error.kind() == IoErrorKind::AlreadyExists => {
                let message = format!("there is a job in {} already, or something else", folder.0.display());
                let hint = "end it with `larder job end`, or remove the folder";
                return Err(Error::invalid("open job", message).with_hint(hint));
            }
            made => made.map_err(|source| failed("open job", &folder.0, source))?,
        }
        DirBuilder::new().mode(0o700).create(folder.state()).map_err(|source| failed("open job", &folder.0, source))?;
        let owned = folder.own()?;
        owned.store(&Queue::default())?;
        // Last, and whatever the umask is.
        fs::set_permissions(&owned.folder.0, fs::Permissions::from_mode(mode))
            .map_err(|source| failed("open job", &owned.folder.0, source))?;
        Ok(owned)
    }

    /// Takes the job over, if it is there and no process has it.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when another process has it, [`ErrorKind::Invalid`] when there is none,
    /// [`ErrorKind::Denied`] when it is of another user.
    pub fn own(&self) -> Result<Owned> {
        self.check_owner()?;
        let path = self.state().join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = lock.map_err(|source| match source.kind() {
            IoErrorKind::NotFound => Error::invalid("take job", format!("there is no job in {}", self.0.display())),
            _ => failed("take job", &path, source),
        })?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Owned { folder: self.clone(), _lock: lock }),
            Err(Errno::WOULDBLOCK) => {
                let message = format!("another process has the job in {}", self.0.display());
                Err(Error::new(ErrorKind::Unavailable, "take job", message))
            }
            Err(errno) => Err(failed("take job", &path, errno.into())),
        }
    }

    /// What a queue says is run, as whom it says: root must not believe what another user wrote.
    fn check_owner(&self) -> Result<()> {
        let state = self.state();
        let seen = match fs::symlink_metadata(&state) {
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(()),
            seen => seen.map_err(|source| failed("take job", &state, source))?,
        };
        let (uid, own) = (seen.uid(), Owner::own().uid);
        if seen.is_dir() && uid == own {
            return Ok(());
        }
        let message = format!("the job in {} is of uid {uid}, and this is uid {own}", self.0.display());
        Err(Error::new(ErrorKind::Denied, "take job", message).with_hint("end it as the user who began it"))
    }

    /// Whether there is anything.
    pub fn exists(&self) -> bool {
        self.0.symlink_metadata().is_ok()
    }

    /// What was last stored.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is none, [`ErrorKind::Corrupt`] when it cannot be understood.
    pub fn load(&self) -> Result<Queue> {
        let path = self.queue();
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            IoErrorKind::NotFound => Error::invalid("read job", format!("there is no job in {}", self.0.display())),
            _ => failed("read job", &path, source),
        })?;
        let corrupt = |why: String| {
            Error::new(ErrorKind::Corrupt, "read job", format!("{}: {why}", path.display()))
                .with_hint("its commands will not run; remove the folder")
        };
        let record: Record = serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))?;
        if record.version != VERSION {
            return Err(corrupt(format!("it has version {}, and this larder reads {VERSION}", record.version)));
        }
        Ok(record.queue)
    }
}

impl Owned {
    /// The folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Makes a queue durable: after a crash there is either it or the one before.
    ///
    /// # Errors
    /// When the file system refuses; then the one before is in force.
    pub fn store(&self, queue: &Queue) -> Result<()> {
        let (path, aside) = (self.folder.queue(), self.folder.state().join("queue.new"));
        let record = Record { version: VERSION, queue: queue.clone() };
        let bytes = serde_json::to_vec(&record).expect("a queue has no maps with keys that JSON lacks");
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&aside, &path)?;
            File::open(self.folder.state())?.sync_all()
        };
        write().map_err(|source| failed("store queue", &path, source))
    }

    /// Removes the job, its environments with their secrets first.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove(self) -> Result<()> {
        let path = self.folder.path();
        fs::remove_file(self.folder.queue())
            .and_then(|()| fs::remove_dir_all(path))
            .map_err(|source| failed("remove job", path, source))
    }
}

fn failed(operation: &'static str, path: &Path, source: std::io::Error) -> Error {
    let kind = match source.kind() {
        IoErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Failed,
    };
    Error::new(kind, operation, path.display().to_string()).with_source(source)
}

#[cfg(test)]
mod tests;
