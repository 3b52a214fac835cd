//! The file `format`: the version of a directory and, from version 2, which bucket it belongs to.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use larder_base::{Error, ErrorKind, Result};

use crate::bucket::BucketOptions;
use crate::store::dir_error;

/// What the file says when there is no bucket.
const VERSION_1: &str = "larder store 1\n";
/// What its first line says when there is one.
const VERSION_2: &str = "larder store 2\n";
/// The longest file that is read.
const LENGTH_MAX: u64 = 4096;

/// Which bucket a directory belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// The id of the store, which the names of its objects begin with.
    pub(crate) id: String,
    /// Where the objects are.
    pub(crate) place: String,
}

impl Attachment {
    fn encode(&self) -> String {
        format!("{VERSION_2}id {}\nbucket {}\n", self.id, self.place)
    }

    fn decode(text: &str) -> Option<Self> {
        let mut lines = text.strip_prefix(VERSION_2)?.lines();
        let id = lines.next()?.strip_prefix("id ")?;
        let place = lines.next()?.strip_prefix("bucket ")?;
        let is_hex = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (is_hex && lines.next().is_none()).then(|| Self { id: id.into(), place: place.into() })
    }
}

/// Checks the version of a directory, writes it into a new one, and tells the bucket it belongs to.
pub(crate) fn check_format(dir: &Path) -> Result<Option<Attachment>> {
    let path = dir.join("format");
    let mut found = String::new();
    match File::open(&path).and_then(|file| file.take(LENGTH_MAX).read_to_string(&mut found)) {
        Ok(_) if found == VERSION_1 => Ok(None),
        Ok(_) => Attachment::decode(&found).map(Some).ok_or_else(|| unknown(dir, &found)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => write(dir, VERSION_1).map(|()| None),
        Err(error) => Err(dir_error("read format file", &path, error)),
    }
}

fn unknown(dir: &Path, found: &str) -> Error {
    let message = format!(
        "{} holds a store of format {:?}; this Larder reads {:?} and {:?}",
        dir.display(),
        found.lines().next().unwrap_or_default(),
        VERSION_1.trim_end(),
        VERSION_2.trim_end()
    );
    Error::new(ErrorKind::Failed, "open store", message)
        .with_hint("use the Larder version that wrote it, or another directory")
}

/// The attachment of a directory that is opened with a bucket, made now if it had none.
pub(crate) fn attach(dir: &Path, before: Option<Attachment>, options: &BucketOptions) -> Result<Attachment> {
    match before {
        Some(attachment) if attachment.place == options.place => Ok(attachment),
        Some(attachment) => {
            let message = format!(
                "the segments of {} are in {}, and it is opened with {}",
                dir.display(),
                attachment.place,
                options.place
            );
            Err(Error::invalid("open store", message)
                .with_hint("configure the bucket that it was used with, or another data directory"))
        }
        None => {
            if options.place.is_empty() || options.place.contains(['\n', '\r']) || options.place.len() > 1024 {
                let message =
                    format!("the place of a bucket is one line of at most 1024 bytes, not {:?}", options.place);
                return Err(Error::invalid("open store", message));
            }
            let id = format!("{:032x}", u128::from_be_bytes(options.fresh_id));
            let attachment = Attachment { id, place: options.place.clone() };
            // Before the first object: a Larder that does not know buckets must not take shipped segments for lost ones.
            write(dir, &attachment.encode())?;
            Ok(attachment)
        }
    }
}

fn write(dir: &Path, text: &str) -> Result<()> {
    let path = dir.join("format");
    let write = || {
        let new = dir.join("format.new");
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|error| dir_error("write format file", &path, error))
}

#[cfg(test)]
mod tests;
