//! Listing objects, page by page.

use http::Method;
use larder_base::{ErrorKind, Result, Timestamp};

use super::{Bucket, DOCUMENT_MAX_BYTES};
use crate::s3::credentials::moment;
use crate::s3::sign::Request;
use crate::s3::xml::Element;

const LIST: &str = "list objects";
/// What is wrong with a list whose page leads to itself.
pub(super) const STUCK: &str = "has a list that does not go on: the next page begins where this one began";

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Its name, without the configured prefix.
    pub key: String,
    /// Its bytes.
    pub size: u64,
    /// When it was written last, to the second.
    pub modified: Timestamp,
}

/// Some objects, in the order of their names; a directory bucket has no order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectPage {
    /// At most a thousand.
    pub objects: Vec<StoredObject>,
    /// What to ask after for the next page; `None` after the last one. A page may be empty and not the last.
    pub next: Option<String>,
}

impl Bucket {
    /// Objects whose names begin with `prefix`, at most a thousand, from `after` (a page's `next`). Whoever lists to the end
    /// gets there: a page that leads to itself is an error.
    ///
    /// # Errors
    /// What the store refuses; [`ErrorKind::Failed`] when its list does not go on.
    pub async fn list(&self, prefix: &str, after: Option<&str>) -> Result<ObjectPage> {
        self.list_some(prefix, after, None).await
    }

    /// As [`Bucket::list`], in pages of at most `limit`.
    pub(in crate::s3) async fn list_some(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: Option<u32>,
    ) -> Result<ObjectPage> {
        let ours = self.inner.place.prefix();
        let mut request = Request::new(LIST, Method::GET, None).query("list-type", "2").query("encoding-type", "url");
        let start = self.inner.place.list_start(prefix);
        if !start.is_empty() {
            request = request.query("prefix", start);
        }
        if let Some(after) = after {
            request = request.query("continuation-token", after);
        }
        if let Some(limit) = limit {
            request = request.query("max-keys", limit.to_string());
        }
        let answer = self.need(&request, DOCUMENT_MAX_BYTES).await?.into_body();
        let page = Element::parse(&answer)?;
        let escaped = page.text("EncodingType") == Some("url");
        let mut objects = Vec::new();
        for object in page.all("Contents") {
            let name = name(object.need("Key")?, escaped);
            let Some(key) = name.strip_prefix(ours).filter(|key| key.starts_with(prefix)) else { continue };
            let size = object.need("Size")?.parse().map_err(|_| {
                self.failure(ErrorKind::Failed, LIST, Some(key), "was listed with a size that is no number")
            })?;
            objects.push(StoredObject { key: key.to_owned(), size, modified: moment(object.need("LastModified")?)? });
        }
        let next = match page.text("IsTruncated") {
            Some("true") => Some(page.need("NextContinuationToken")?.to_owned()),
            _ => None,
        };
        if next.is_some() && next.as_deref() == after {
            return Err(self.failure(ErrorKind::Failed, LIST, None, STUCK));
        }
        Ok(ObjectPage { objects, next })
    }
}

/// A name as a store wrote it into a document.
pub(super) fn name(text: &str, escaped: bool) -> String {
    if !escaped {
        return text.to_owned();
    }
    // As forms are: a blank may be a plus, and a plus never is.
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                plain.push(byte);
                at += 2;
            }
            (b'+', _) => plain.push(b' '),
            (byte, _) => plain.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&plain).into_owned()
}
