//! Uploads that were begun and not ended.

use http::Method;
use larder_base::{ErrorKind, Result};

use super::OpenUpload;
use crate::s3::bucket::list::{STUCK, name as name_of};
use crate::s3::bucket::{Bucket, DOCUMENT_MAX_BYTES};
use crate::s3::credentials::moment;
use crate::s3::sign::Request;
use crate::s3::xml::Element;

const LIST: &str = "list multipart uploads";

/// Some open uploads, in the order of their names; a directory bucket has no order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadPage {
    /// At most a thousand.
    pub uploads: Vec<OpenUpload>,
    /// What to ask after for the next page; `None` after the last one.
    pub next: Option<UploadMarker>,
}

/// Where a page of uploads ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadMarker {
    key: String,
    id: String,
}

impl Bucket {
    /// Uploads of objects whose names begin with `prefix`, at most a thousand, from `after` (a page's `next`): what a sweep
    /// compares with what it knows of. MinIO takes `prefix` for the whole name of an object, or says nothing: a sweep that is to
    /// work there asks by the names that it wrote down.
    ///
    /// # Errors
    /// What the store refuses; [`ErrorKind::Failed`] when its list does not go on.
    pub async fn list_uploads(&self, prefix: &str, after: Option<&UploadMarker>) -> Result<UploadPage> {
        let ours = self.inner.place.prefix();
        let mut request = Request::new(LIST, Method::GET, None).query("uploads", "");
        let start = self.inner.place.list_start(prefix);
        if !start.is_empty() {
            request = request.query("prefix", start);
        }
        // The marker of a directory bucket is no name, so that it is to come and to go back as it is.
        if !self.is_directory() {
            request = request.query("encoding-type", "url");
        }
        if let Some(UploadMarker { key, id }) = after {
            request = request.query("key-marker", key.as_str());
            if !self.is_directory() {
                request = request.query("upload-id-marker", id.as_str());
            }
        }
        let answer = self.need(&request, DOCUMENT_MAX_BYTES).await?.into_body();
        let page = Element::parse(&answer)?;
        let escaped = page.text("EncodingType") == Some("url");
        let mut uploads = Vec::new();
        for upload in page.all("Upload") {
            let name = name_of(upload.need("Key")?, escaped);
            let Some(key) = name.strip_prefix(ours).filter(|key| key.starts_with(prefix)) else { continue };
            let (id, begun) = (upload.need("UploadId")?.to_owned(), moment(upload.need("Initiated")?)?);
            uploads.push(OpenUpload { key: key.to_owned(), id, begun });
        }
        let next = match (page.text("IsTruncated"), page.text("NextKeyMarker")) {
            (Some("true"), Some(key)) => {
                let id = page.text("NextUploadIdMarker").unwrap_or_default().to_owned();
                Some(UploadMarker { key: name_of(key, escaped), id })
            }
            _ => None,
        };
        if next.is_some() && next.as_ref() == after {
            return Err(self.failure(ErrorKind::Failed, LIST, None, STUCK));
        }
        Ok(UploadPage { uploads, next })
    }
}
