//! Signed URLs: each carries in itself the right to move certain bytes until a certain moment.

use larder_base::{Namespace, PartName, SegmentRange, Timestamp, TransferUrl};
use serde::Deserialize;

use crate::Ci;
use crate::failure::Failure;

/// What a signed URL permits. Everything that matters is in it, so that nothing about it need be remembered.
#[derive(Clone, Debug)]
pub(crate) enum Permission {
    /// To read some bytes of a segment.
    Read { namespace: Namespace, range: SegmentRange },
    /// To send one part of an upload.
    Send { namespace: Namespace, part: PartName, length: u64 },
}

/// The query of a signed URL.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Signature {
    expires: u64,
    signature: String,
}

impl Permission {
    /// What is signed. Method and namespace stand in front, so that no permission can be read as another.
    fn text(&self) -> String {
        match self {
            Self::Read { namespace, range: SegmentRange { segment, offset, length } } => {
                format!("ci GET {namespace} segment {segment} {offset} {length}")
            }
            Self::Send { namespace, part, length } => format!("ci PUT {namespace} part {part} {length}"),
        }
    }

    /// The path, relative to the namespace.
    fn path(&self) -> String {
        match self {
            Self::Read { range: SegmentRange { segment, offset, length }, .. } => {
                format!("runs/{segment}/{offset}/{length}")
            }
            Self::Send { part, length, .. } => format!("uploads/{}/parts/{}/{length}", part.upload, part.number),
        }
    }

    /// The URL that grants it, relative to the namespace.
    pub(crate) fn grant(&self, ci: &Ci) -> TransferUrl {
        let expires = ci.cache().clock().now().plus(ci.settings().url_life());
        let signature = ci.cache().signer().sign(&self.text(), expires);
        let url = format!("{}?expires={}&signature={signature}", self.path(), expires.as_millis());
        TransferUrl { url, headers: Vec::new(), expires }
    }

    /// Checks what a URL carries. The time counts when a transfer begins; it may go on beyond it.
    pub(crate) fn check(&self, ci: &Ci, shown: &Signature) -> Result<(), Failure> {
        let expires = Timestamp::from_millis(shown.expires);
        // First that it is ours at all, at the moment it names, which makes it true: only then is it merely too old.
        ci.cache().signer().verify(&self.text(), expires, &shown.signature, expires)?;
        if ci.cache().clock().now() > expires { Err(Failure::expired()) } else { Ok(()) }
    }
}
