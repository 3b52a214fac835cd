//! The socket's file: for its user alone, taken over from the dead, and gone when the helper is.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use larder_base::{Error, ErrorKind, Result};
use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// Connections that wait to be accepted. A parallel build opens one for each compilation, all at once.
const BACKLOG: u32 = 1024;

/// Removes the file of a socket when the helper ends, unless another helper has put its own there.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// Listens at `path`. The file of a helper that died is replaced; a helper that lives there is an error.
pub(super) async fn bind(path: &Path) -> Result<(UnixListener, SocketFile)> {
    let socket = match bind_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            make_way(path).await?;
            bind_new(path)
        }
        bound => bound,
    };
    let socket = socket.map_err(|error| failed(path, "the socket cannot be made", error))?;
    let file = identify(path).map(|identity| SocketFile { path: path.to_owned(), identity });
    let file = file.map_err(|error| failed(path, "the socket cannot be seen", error))?;
    // Nobody can connect before it listens; by then it is closed to others, whatever the umask.
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))
        .map_err(|error| failed(path, "the socket cannot be closed to others", error))?;
    let listener = socket.listen(BACKLOG).map_err(|error| failed(path, "the socket does not listen", error))?;
    Ok((listener, file))
}

fn bind_new(path: &Path) -> io::Result<UnixSocket> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    Ok(socket)
}

/// Removes the socket of a helper that is no more.
#[expect(clippy::disallowed_methods, reason = "the socket is this helper's own, and no blob or entry")]
async fn make_way(path: &Path) -> Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if !is_socket {
        let message = format!("{} is there, and is no socket", path.display());
        return Err(Error::invalid("open socket", message).with_hint("remove it, or name another path"));
    }
    match UnixStream::connect(path).await {
        Ok(_) => {
            let message = format!("a helper is already serving at {}", path.display());
            Err(Error::new(ErrorKind::Unavailable, "open socket", message))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(path, "the socket of a helper that died cannot be removed", error))
            }
            _ => Ok(()),
        },
        Err(error) => Err(failed(path, "the socket that is there does not answer", error)),
    }
}

#[expect(clippy::disallowed_methods, reason = "the socket is this helper's own, and no blob or entry")]
fn identify(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

fn failed(path: &Path, what: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Failed, "open socket", format!("{}: {what}", path.display()))
        .with_source(error)
        .with_hint("the path of a socket has at most 107 bytes, and its folder must be writable")
}

impl Drop for SocketFile {
    #[expect(clippy::disallowed_methods, reason = "the socket is this helper's own, and no blob or entry")]
    fn drop(&mut self) {
        if identify(&self.path).is_ok_and(|identity| identity == self.identity) {
            // Whoever finds it after this finds a socket that refuses, and replaces it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
