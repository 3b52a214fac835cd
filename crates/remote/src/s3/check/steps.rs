//! The steps of a check.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue, RANGE};
use http::{Method, StatusCode};
use larder_base::{Error, ErrorKind, Result};

use super::Checking;
use crate::http::Payload;
use crate::s3::{Bucket, MultipartPlan, MultipartUpload, ObjectBody, PART_MIN_BYTES, PartTag, Presigned};

const PUT: &str = "s3:PutObject";
const GET: &str = "s3:GetObject";
const LIST: &str = "s3:ListBucket";
const DELETE: &str = "s3:DeleteObject";
const ABORT: &str = "s3:AbortMultipartUpload";
const LIST_PARTS: &str = "s3:ListMultipartUploadParts";
const LIST_UPLOADS: &str = "s3:ListBucketMultipartUploads";
/// What a directory bucket wants instead of all of them.
pub(super) const SESSION: &str = "s3express:CreateSession";
/// All of them: what the policy in the documentation allows.
#[cfg(test)]
pub(super) const RIGHTS: &[&str] = &[PUT, GET, LIST, DELETE, ABORT, LIST_PARTS, LIST_UPLOADS];
/// The names of the objects of a check.
pub(super) const NAMES: [&str; 4] = ["object", PARTS, "direct", ABORTED];
/// What a check sends in parts.
pub(super) const PARTS: &str = "parts";
/// What it begins to send in parts, to give it up.
pub(super) const ABORTED: &str = "aborted";
const LIFETIME: Duration = Duration::from_secs(300);
/// The bytes of the small objects.
const SMALL: u64 = 4096;

impl Checking<'_> {
    /// Whether there are credentials, and what they are good for in the first place.
    pub(super) async fn begin(&mut self) -> bool {
        const REST: &[&str] = &["everything else"];
        let credentials = self.bucket.find_credentials().await;
        if self.note("find credentials", None, credentials).is_none() {
            self.skip(REST, "finding credentials");
            return false;
        }
        if !self.bucket.is_directory() {
            return true;
        }
        let session = self.bucket.find_session().await;
        let begun = self.note("begin a session", SESSION, session).is_some();
        if !begun {
            self.skip(REST, "beginning a session");
        }
        begun
    }

    pub(super) async fn objects(&mut self) {
        let (bucket, key) = (self.bucket, self.key("object"));
        let put = bucket.put_object(&key, &ObjectBody::bytes(content(SMALL))).await;
        if self.note("put an object", PUT, put).is_some() {
            let whole = expect(bucket, &key, 0, SMALL).await;
            self.note("get an object", GET, whole);
            let range = expect(bucket, &key, 1000, 10).await;
            self.note("get a range", GET, range);
            let head = bucket.head(&key).await.and_then(|stat| match stat {
                Some(stat) if stat.size == SMALL => Ok(()),
                Some(stat) => Err(wrong(&format!("an object of {SMALL} bytes is said to have {}", stat.size))),
                None => Err(wrong("an object that was put is not there")),
            });
            self.note("see an object's size", GET, head);
            let kept = match bucket.put_new(&key, &ObjectBody::bytes(content(1))).await {
                Ok(false) => Ok(()),
                Ok(true) => Err(wrong("a second object of the same name was taken in spite of If-None-Match")
                    .with_hint("clients will send to Larder, and not to this store: nothing else is lost by it")),
                Err(error) => Err(error),
            };
            self.note("keep the first object of a name", PUT, kept);
        } else {
            let rest = ["get an object", "get a range", "see an object's size", "keep the first object of a name"];
            self.skip(&rest, "putting one");
        }
        let absent = bucket.head(&self.key("absent")).await.and_then(|stat| match stat {
            None => Ok(()),
            Some(_) => Err(wrong("an object that never was is there")),
        });
        // Without it a missing object is told from a forbidden one by nobody.
        self.note("see that an object is absent", LIST, absent);
        let listed = bucket.list(&format!("{}/", self.folder), None).await;
        self.note("list objects", LIST, listed);
    }

    pub(super) async fn multipart(&mut self) {
        const REST: [&str; 4] = ["send a part", "list parts", "list multipart uploads", "complete a multipart upload"];
        let (bucket, key) = (self.bucket, self.key(PARTS));
        let size = PART_MIN_BYTES + SMALL;
        let plan = MultipartPlan::new(size, PART_MIN_BYTES).expect("the sizes are constants");
        let begun = bucket.create_multipart(&key, plan).await;
        let Some(upload) = self.note("begin a multipart upload", PUT, begun) else {
            self.skip(&REST, "beginning one");
            self.skip(&["abort a multipart upload"], "beginning one");
            return;
        };
        let sent = self.send(&upload).await;
        let tags = self.note(REST[0], PUT, sent);
        let parts = bucket.list_parts(&key, &upload.id).await.and_then(|parts| match parts {
            Some(parts) if parts.len() == 2 || tags.is_none() => Ok(()),
            _ => Err(wrong("parts that were sent are not listed")),
        });
        self.note(REST[1], LIST_PARTS, parts);
        // By its whole name, as MinIO finds none by the beginning of one.
        let uploads = bucket.list_uploads(&key, None).await.and_then(|page| {
            let found = page.uploads.iter().any(|open| open.id == upload.id);
            found.then_some(()).ok_or_else(|| wrong("an upload that was begun is not listed"))
        });
        self.note(REST[2], LIST_UPLOADS, uploads);
        let complete = match &tags {
            None => {
                self.skip(&REST[3..], "sending a part");
                None
            }
            Some(tags) => {
                let done = bucket.complete_multipart(&upload, tags).await;
                let done = match done {
                    Ok(()) => expect(bucket, &key, PART_MIN_BYTES - 5, 10).await,
                    Err(error) => Err(error),
                };
                self.note(REST[3], PUT, done)
            }
        };
        // One that was completed needs no end; another is begun, so that there is something to abort.
        let ended = match complete {
            Some(()) => bucket.create_multipart(&self.key(ABORTED), plan).await,
            None => Ok(upload),
        };
        let aborted = match ended {
            Ok(upload) => bucket.abort_multipart(&upload.key, &upload.id).await,
            Err(error) => Err(error),
        };
        self.note("abort a multipart upload", ABORT, aborted);
    }

    async fn send(&self, upload: &MultipartUpload) -> Result<Vec<PartTag>> {
        let whole = content(upload.plan.size());
        let mut tags = Vec::new();
        for number in 1..=upload.plan.parts() {
            let (offset, length) = upload.plan.part(number)?;
            let piece = whole.slice(offset as usize..(offset + length) as usize);
            tags.push(self.bucket.upload_part(upload, number, &ObjectBody::bytes(piece)).await?);
        }
        Ok(tags)
    }

    pub(super) async fn presigned(&mut self) {
        let (bucket, key) = (self.bucket, self.key("direct"));
        let wrong_length = async {
            let signed = bucket.presign_put(&key, SMALL, LIFETIME).await?;
            let status = transfer(bucket, Method::PUT, &signed, content(SMALL - 1), None).await?.0;
            if status.is_success() {
                return Err(wrong("a body shorter than was signed was accepted")
                    .with_hint("this store does not check what is signed: let nobody but Larder reach it"));
            }
            Ok(())
        };
        let refused = wrong_length.await;
        self.note("refuse a presigned put of another length", PUT, refused);
        let put = async {
            let signed = bucket.presign_put(&key, SMALL, LIFETIME).await?;
            let (status, _) = transfer(bucket, Method::PUT, &signed, content(SMALL), None).await?;
            status.is_success().then_some(()).ok_or_else(|| answered("put", status))
        };
        let put = put.await;
        if self.note("put by a presigned URL", PUT, put).is_none() {
            return self.skip(&["get a range by a presigned URL"], "putting by one");
        }
        let get = async {
            let signed = bucket.presign_get(&key, LIFETIME).await?;
            let range = HeaderValue::from_static("bytes=1000-1009");
            let (status, body) = transfer(bucket, Method::GET, &signed, Bytes::new(), Some(range)).await?;
            let good = status == StatusCode::PARTIAL_CONTENT && body == content(SMALL).slice(1000..1010);
            good.then_some(()).ok_or_else(|| answered("get by range", status))
        };
        let get = get.await;
        self.note("get a range by a presigned URL", GET, get);
    }

    pub(super) async fn removal(&mut self) {
        let keys = NAMES.map(|name| self.key(name));
        let one = self.bucket.delete_object(&keys[0]).await;
        self.note("delete an object", DELETE, one);
        let many = self.bucket.delete_objects(&keys).await;
        if self.note("delete objects", DELETE, many).is_none()
            && let Some(step) = self.steps.last_mut()
            && let Some(problem) = &mut step.problem
        {
            *problem += &format!("; objects below {}/ may be left and can be deleted by hand", self.folder);
        }
    }
}

/// Bytes that differ from place to place.
fn content(length: u64) -> Bytes {
    (0..length).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 13) as u8).collect()
}

async fn expect(bucket: &Bucket, key: &str, offset: u64, length: u64) -> Result<()> {
    let body =
        bucket.get_range(key, offset, length).await?.ok_or_else(|| wrong("an object that was put is not there"))?;
    let read = larder_base::collect(body, length as usize).await?;
    let good = read == content(offset + length).slice(offset as usize..);
    good.then_some(()).ok_or_else(|| wrong("other bytes came back than were put"))
}

/// Uses a URL as a client does that knows nothing else.
async fn transfer(
    bucket: &Bucket,
    method: Method,
    signed: &Presigned,
    body: Bytes,
    range: Option<HeaderValue>,
) -> Result<(StatusCode, Bytes)> {
    let mut headers = HeaderMap::new();
    if let Some(range) = range {
        headers.insert(RANGE, range);
    }
    let mut message = http::Request::new(Payload::Whole(body));
    *message.method_mut() = method;
    *message.headers_mut() = headers;
    *message.uri_mut() = signed.url.parse().map_err(|error| wrong("a URL was signed badly").with_source(error))?;
    let (head, body) = bucket.http().send_once(message, Duration::ZERO).await?.into_parts();
    Ok((head.status, larder_base::collect(body, 1 << 20).await?))
}

fn wrong(what: &str) -> Error {
    Error::new(ErrorKind::Failed, "check bucket", what)
}

fn answered(what: &str, status: StatusCode) -> Error {
    let kind = if status == StatusCode::FORBIDDEN { ErrorKind::Denied } else { ErrorKind::Failed };
    Error::new(kind, "check bucket", format!("the {what} was answered with {}", status.as_u16()))
}
