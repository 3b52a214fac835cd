//! The disk that the data directory is on.

use std::fs;
use std::io;
use std::path::Path;

use larder_base::{Error, ErrorKind, Result};
use rustix::fs::{Access, access, statvfs};

const ELSEWHERE: &str = "name another directory with --data or LARDER_DATA";

/// Makes the data directory if there is none, and sees that files can be made in it.
///
/// # Errors
/// With what is in the way, and that another directory can be named.
pub(super) fn prepare(data: &Path) -> Result<()> {
    let refused = |why: String| Error::new(ErrorKind::Failed, "open data directory", why).with_hint(ELSEWHERE);
    let not_a_folder = |at: &&Path| fs::metadata(at).is_ok_and(|found| !found.is_dir());
    if let Some(file) = data.ancestors().find(not_a_folder) {
        let through = if file == data { String::new() } else { format!(", so that {} cannot be made", data.display()) };
        return Err(refused(format!("{} is a file{through}", file.display())));
    }
    fs::create_dir_all(data)
        .map_err(|error| refused(format!("{} cannot be made", data.display())).with_source(error))?;
    access(data, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|errno| refused(format!("{} cannot be written", data.display())).with_source(io::Error::from(errno)))
}

/// What the directory takes now and half of what is free, at most 100 GiB.
///
/// # Errors
/// Of the file system.
pub(super) fn automatic_quota(data: &Path) -> Result<u64> {
    const MOST: u64 = 100 << 30;
    let failed = |source: io::Error| {
        let message = format!("{} cannot be measured", data.display());
        Error::new(ErrorKind::Failed, "choose quota", message).with_source(source).with_hint("choose one with --quota")
    };
    let disk = statvfs(data).map_err(|errno| failed(errno.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let mut used = 0;
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.metadata().map_err(failed)?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else {
                used += kind.len();
            }
        }
    }
    Ok((used + free / 2).min(MOST))
}

#[cfg(test)]
mod tests;
