//! Objects that are sent in parts.
//!
//! The sizes are a matter of the type: a [`MultipartPlan`] has only parts that every store takes, so what would be refused at
//! the end is refused before anything is sent.

mod complete;
mod open;

use bytes::Bytes;
use http::Method;
use http::header::ETAG;
use larder_base::{Error, ErrorKind, Result, Timestamp};

use super::objects::STORING;
use super::{Answer, Bucket, DOCUMENT_MAX_BYTES, ObjectBody};
use crate::s3::sign::Request;
use crate::s3::xml::Element;

pub use open::{UploadMarker, UploadPage};

/// The fewest bytes of a part that is not the last.
pub const PART_MIN_BYTES: u64 = 5 << 20;
/// The most bytes of a part, and of an object that is sent at once.
pub const PART_MAX_BYTES: u64 = 5 << 30;
/// The most parts of an object.
pub const PARTS_MAX: u32 = 10_000;

/// How an object is cut into parts: all of one size, which some stores demand, and a last one that may be smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultipartPlan {
    size: u64,
    part_size: u64,
}

/// A multipart upload that was begun. It can be made again from its three fields, by a process that wrote them down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultipartUpload {
    /// The object that it will be, without the configured prefix.
    pub key: String,
    /// The store's name for it.
    pub id: String,
    /// Its parts.
    pub plan: MultipartPlan,
}

/// What the store answered to a part: needed to complete the upload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartTag {
    /// Which part, from 1.
    pub number: u32,
    /// The store's word for it, as it came, quotes included.
    pub etag: String,
}

/// An upload that the store holds unfinished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenUpload {
    /// The object that it would be, without the configured prefix.
    pub key: String,
    /// The store's name for it.
    pub id: String,
    /// When it was begun.
    pub begun: Timestamp,
}

impl MultipartPlan {
    /// A plan for an object of `size` bytes in parts of `part_size`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for parts smaller than 5 MiB or larger than 5 GiB or an empty object, [`ErrorKind::TooLarge`]
    /// for more than 10,000 parts.
    pub fn new(size: u64, part_size: u64) -> Result<Self> {
        const PLAN: &str = "plan multipart upload";
        if size == 0 {
            return Err(Error::invalid(PLAN, "an empty object has no parts; put it whole"));
        }
        if !(PART_MIN_BYTES..=PART_MAX_BYTES).contains(&part_size) {
            let message = format!("parts of {part_size} bytes: a part has 5 MiB to 5 GiB");
            return Err(Error::invalid(PLAN, message));
        }
        if size.div_ceil(part_size) > u64::from(PARTS_MAX) {
            let message = format!("{size} bytes in parts of {part_size} are more than {PARTS_MAX} parts");
            return Err(Error::new(ErrorKind::TooLarge, PLAN, message).with_hint("use larger parts"));
        }
        Ok(Self { size, part_size })
    }

    /// The bytes of the object.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes of each part but the last.
    pub fn part_size(&self) -> u64 {
        self.part_size
    }

    /// How many parts there are.
    pub fn parts(&self) -> u32 {
        u32::try_from(self.size.div_ceil(self.part_size)).expect("a plan has at most 10,000 parts")
    }

    /// Offset and length of a part, from 1.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a number that there is not.
    pub fn part(&self, number: u32) -> Result<(u64, u64)> {
        if !(1..=self.parts()).contains(&number) {
            let message = format!("there is no part {number}: they are 1 to {}", self.parts());
            return Err(Error::invalid("send part", message));
        }
        let offset = u64::from(number - 1) * self.part_size;
        Ok((offset, self.part_size.min(self.size - offset)))
    }
}

impl Bucket {
    /// Begins an upload. Write the name down before, and what this returns after: an answer that is lost leaves an upload
    /// that only [`Bucket::list_uploads`] finds.
    ///
    /// # Errors
    /// What the store refuses.
    pub async fn create_multipart(&self, key: &str, plan: MultipartPlan) -> Result<MultipartUpload> {
        self.inner.place.check_key(key)?;
        let request = Request::new("begin multipart upload", Method::POST, Some(key)).query("uploads", "");
        let answer = self.need(&request, DOCUMENT_MAX_BYTES).await?.into_body();
        let id = Element::parse(&answer)?.need("UploadId")?.to_owned();
        Ok(MultipartUpload { key: key.to_owned(), id, plan })
    }

    /// Sends a part. Parts may be sent in any order, side by side, and again: the last one of a number counts.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a number or a length that the plan does not have, before anything is sent; what the store
    /// refuses.
    pub async fn upload_part(&self, upload: &MultipartUpload, number: u32, body: &ObjectBody) -> Result<PartTag> {
        const SEND: &str = "send part";
        let (_, length) = upload.plan.part(number)?;
        if body.length() != length {
            let what = format!("has {length} bytes in part {number}, and {} were given", body.length());
            return Err(self.failure(ErrorKind::Invalid, SEND, Some(&upload.key), &what));
        }
        self.inner.place.check_key(&upload.key)?;
        let mut request = Request::new(SEND, Method::PUT, Some(&upload.key))
            .query("partNumber", number.to_string())
            .query("uploadId", upload.id.as_str())
            .body(body.payload());
        request.wait = STORING;
        let answer = self.need(&request, DOCUMENT_MAX_BYTES).await?;
        let etag =
            answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned).ok_or_else(|| {
                let what = format!("has part {number}, and its tag was not told");
                self.failure(ErrorKind::Failed, SEND, Some(&upload.key), &what)
            })?;
        Ok(PartTag { number, etag })
    }

    /// The tags of the parts that the store has, in order; `None` when it knows no such upload.
    ///
    /// # Errors
    /// What the store refuses.
    pub async fn list_parts(&self, key: &str, id: &str) -> Result<Option<Vec<PartTag>>> {
        const LIST: &str = "list parts";
        self.inner.place.check_key(key)?;
        let mut parts: Vec<PartTag> = Vec::new();
        loop {
            let mut request = Request::new(LIST, Method::GET, Some(key)).query("uploadId", id);
            if let Some(last) = parts.last() {
                request = request.query("part-number-marker", last.number.to_string());
            }
            let answer: Bytes = match self.ask(&request, DOCUMENT_MAX_BYTES).await? {
                Answer::Good(answer) => answer.into_body(),
                Answer::Refused(refusal) if refusal.is_no_upload() => return Ok(None),
                Answer::Refused(refusal) => return Err(self.error(&request, &refusal)),
            };
            let page = Element::parse(&answer)?;
            let before = parts.len();
            for part in page.all("Part") {
                let number = part.need("PartNumber")?.parse().map_err(|_| {
                    self.failure(ErrorKind::Failed, LIST, Some(key), "has a part whose number is no number")
                })?;
                parts.push(PartTag { number, etag: part.need("ETag")?.to_owned() });
            }
            // A page without anything new would be asked for again without end.
            if page.text("IsTruncated") != Some("true") || parts.len() == before || parts.len() > PARTS_MAX as usize {
                return Ok(Some(parts));
            }
        }
    }
}

#[cfg(test)]
mod tests;
