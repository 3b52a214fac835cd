//! The secret that signs URLs: made once for a data directory, and kept beside it.

use std::fs;
use std::io::{ErrorKind as IoErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use larder_base::{Error, ErrorKind, Result};

/// The secret of a data directory; a new one the first time.
///
/// # Errors
/// [`ErrorKind::Failed`] when it can be neither read nor made.
pub fn secret_of(data: &Path) -> Result<[u8; 32]> {
    let path = data.join("secret");
    let failed = |source: std::io::Error| {
        Error::new(ErrorKind::Failed, "read secret", path.display().to_string()).with_source(source)
    };
    match fs::read(&path) {
        Ok(bytes) => bytes.try_into().map_err(|_| {
            Error::new(ErrorKind::Corrupt, "read secret", format!("{} has not 32 bytes", path.display()))
                .with_hint("remove the file; URLs signed so far then lose their right")
        }),
        Err(error) if error.kind() == IoErrorKind::NotFound => {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret)
                .map_err(|_| Error::new(ErrorKind::Failed, "make secret", "the system gave no random bytes"))?;
            // Written aside and renamed, so that a crash leaves no half of it.
            let aside = data.join("secret.new");
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&aside)
                .map_err(failed)?;
            file.write_all(&secret).and_then(|()| file.sync_all()).map_err(failed)?;
            fs::rename(&aside, &path).map_err(failed)?;
            Ok(secret)
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests;
