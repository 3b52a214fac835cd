//! What a request asks for.

use http::Method;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// `PutObject`
    Put,
    /// `GetObject`
    Get,
    /// `HeadObject`
    Head,
    /// `DeleteObject`
    Delete,
    /// `DeleteObjects`
    DeleteBatch,
    /// `ListObjectsV2`
    List,
    /// `CreateMultipartUpload`
    Create,
    /// `UploadPart`
    Part,
    /// `CompleteMultipartUpload`
    Complete,
    /// `AbortMultipartUpload`
    Abort,
    /// `ListParts`
    ListParts,
    /// `ListMultipartUploads`
    ListUploads,
    /// `CreateSession`, of a directory bucket
    CreateSession,
}

/// The pairs of a query string, plain.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (plain(name), plain(value))
        });
        Self(pairs.collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(named, _)| named == name).map(|(_, value)| value.as_str())
    }

    /// As [`Query::get`], by a name in lower case.
    pub(super) fn get_by_any_case(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(named, _)| named.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

/// Text without percent signs' escapes. A plus is a plus in a signed URL.
pub(super) fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%').then(|| after.get(..2)).flatten();
        match escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The kind of a request for the bucket (without a key) or an object.
pub(super) fn operation(method: &Method, key: Option<&str>, query: &Query) -> Option<Operation> {
    let has = |name| query.get(name).is_some();
    Some(match (method.as_str(), key.is_some()) {
        ("PUT", true) if has("partNumber") && has("uploadId") => Operation::Part,
        ("PUT", true) => Operation::Put,
        ("GET", true) if has("uploadId") => Operation::ListParts,
        ("GET", true) => Operation::Get,
        ("HEAD", true) => Operation::Head,
        ("DELETE", true) if has("uploadId") => Operation::Abort,
        ("DELETE", true) => Operation::Delete,
        ("POST", true) if has("uploads") => Operation::Create,
        ("POST", true) if has("uploadId") => Operation::Complete,
        ("POST", false) if has("delete") => Operation::DeleteBatch,
        ("GET", false) if has("uploads") => Operation::ListUploads,
        ("GET", false) if has("session") => Operation::CreateSession,
        ("GET", false) if query.get("list-type") == Some("2") => Operation::List,
        _ => return None,
    })
}
