//! The end of an upload: complete or abort.

use std::time::Duration;

use http::Method;
use larder_base::{ErrorKind, Result};

use super::{MultipartUpload, PartTag};
use crate::http::Payload;
use crate::s3::bucket::{Answer, Bucket, DOCUMENT_MAX_BYTES};
use crate::s3::sign::Request;
use crate::s3::xml::escape;

const COMPLETE: &str = "complete multipart upload";
const ABORT: &str = "abort multipart upload";
/// How long a store may take to put an object together before it begins to answer.
const ASSEMBLY: Duration = Duration::from_secs(300);
/// How often an abort is repeated while parts are still arriving.
const ABORTS: u32 = 8;

impl Bucket {
    /// Makes the object of its parts, given in any order. When this returns the object is there, whole.
    ///
    /// Safe to repeat, also by a process that does not know whether an earlier one got so far: a store that no longer knows
    /// the upload is asked for the object, and one of the planned size is taken for it. That holds as long as no two uploads
    /// have the same name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when parts are missing or named twice, before anything is sent; [`ErrorKind::Failed`] when the
    /// upload is gone and so is the object; what the store refuses, also inside of a good answer.
    pub async fn complete_multipart(&self, upload: &MultipartUpload, tags: &[PartTag]) -> Result<()> {
        self.inner.place.check_key(&upload.key)?;
        let mut tags: Vec<&PartTag> = tags.iter().collect();
        tags.sort_unstable();
        let wrong = |what: &str| Err(self.failure(ErrorKind::Invalid, COMPLETE, Some(&upload.key), what));
        if tags.len() != upload.plan.parts() as usize {
            return wrong(&format!("has {} parts, and {} were given", upload.plan.parts(), tags.len()));
        }
        if !tags.iter().map(|tag| tag.number).eq(1..=upload.plan.parts()) {
            return wrong("has a part that was given twice, or one that there is not");
        }
        let mut document = String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        for PartTag { number, etag } in tags {
            // Proxies that change bodies weaken tags; stores know only their own.
            let etag = escape(etag.trim_start_matches("W/"));
            document += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
        }
        document += "</CompleteMultipartUpload>";
        let mut request = Request::new(COMPLETE, Method::POST, Some(&upload.key))
            .query("uploadId", upload.id.as_str())
            .body(Payload::Whole(document.into()));
        request.wait = ASSEMBLY;
        match self.ask(&request, DOCUMENT_MAX_BYTES).await? {
            Answer::Good(_) => Ok(()),
            Answer::Refused(refusal) if refusal.is_no_upload() => self.was_completed(upload).await,
            Answer::Refused(refusal) => Err(self.error(&request, &refusal)),
        }
    }

    async fn was_completed(&self, upload: &MultipartUpload) -> Result<()> {
        match self.head(&upload.key).await? {
            Some(object) if object.size == upload.plan.size() => Ok(()),
            Some(object) => {
                let what = format!(
                    "has {} bytes and not the {} of the upload, which the store no longer knows",
                    object.size,
                    upload.plan.size()
                );
                Err(self.failure(ErrorKind::Failed, COMPLETE, Some(&upload.key), &what))
            }
            None => {
                let what = "is not there, and the store no longer knows the upload: it was aborted";
                Err(self.failure(ErrorKind::Failed, COMPLETE, Some(&upload.key), what))
            }
        }
    }

    /// Gives an upload up, until the store holds none of its parts. One that the store does not know is given up already.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when parts keep arriving; what the store refuses.
    pub async fn abort_multipart(&self, key: &str, id: &str) -> Result<()> {
        self.inner.place.check_key(key)?;
        let policy = self.inner.http.policy();
        for tried in 1..=ABORTS {
            let request = Request::new(ABORT, Method::DELETE, Some(key)).query("uploadId", id);
            match self.ask(&request, DOCUMENT_MAX_BYTES).await? {
                Answer::Good(_) => {}
                Answer::Refused(refusal) if refusal.is_no_upload() => {}
                Answer::Refused(refusal) => return Err(self.error(&request, &refusal)),
            }
            // A part that was on its way may have come after the abort, and would be paid for without end.
            match self.list_parts(key, id).await? {
                None => return Ok(()),
                Some(parts) if parts.is_empty() => return Ok(()),
                Some(_) => tokio::time::sleep(self.inner.http.pauses().after(tried, policy.first_pause)).await,
            }
        }
        Err(self.failure(ErrorKind::Unavailable, ABORT, Some(key), "still has parts: some are being sent"))
    }
}
