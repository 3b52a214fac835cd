//! What the store holds, and what requests do to it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use larder_base::{ContentHash, Timestamp};

use super::directory::{self, Directory};
use super::document::{contents, document, element, escape, moment, plain};
use super::operation::{Operation, Query};

const PART_MIN_LEN: usize = 5 << 20;

/// A refusal: status, code, message.
#[derive(Debug)]
pub(super) struct Refused(pub(super) u16, pub(super) &'static str, pub(super) String);

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

pub(super) struct Object {
    pub(super) body: Bytes,
    etag: String,
    modified: Timestamp,
}

pub(super) struct Upload {
    key: String,
    begun: Timestamp,
    parts: BTreeMap<u32, (String, Bytes)>,
}

pub(super) struct State {
    pub(super) objects: BTreeMap<String, Object>,
    /// By id.
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) page: usize,
    /// The names that were put to without asking that the first be kept.
    pub(super) overwriting: Vec<String>,
    /// If it is a directory bucket.
    pub(super) directory: Option<Directory>,
    /// Whether uploads are listed by the whole name of an object only.
    pub(super) whole_names: bool,
    begun: u64,
}

impl Default for State {
    fn default() -> Self {
        let (objects, uploads, overwriting) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self { objects, uploads, page: 1000, overwriting, directory: None, whole_names: false, begun: 0 }
    }
}

/// One request, checked and whole.
pub(super) struct Asked<'a> {
    pub(super) operation: Operation,
    pub(super) key: &'a str,
    pub(super) query: &'a Query,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: Bytes,
    pub(super) now: Timestamp,
}

type Done = Result<Reply, Refused>;

impl State {
    pub(super) fn put(&mut self, key: &str, body: Bytes, now: Timestamp) -> String {
        let etag = self.tag(&body);
        self.objects.insert(key.to_owned(), Object { body, etag: etag.clone(), modified: now });
        etag
    }

    /// The tag of some content, quoted as tags are.
    fn tag(&mut self, body: &Bytes) -> String {
        match &mut self.directory {
            Some(directory) => directory.tag(),
            None => format!("\"{}\"", &ContentHash::of(body).to_hex()[..32]),
        }
    }

    /// Where a name stands in lists, and what tells a client to go on behind it.
    fn place(&self, name: &str) -> (String, String) {
        match &self.directory {
            Some(_) => {
                let position = directory::position(name);
                let marker = directory::marker(&position);
                (position, marker)
            }
            None => (name.to_owned(), name.to_owned()),
        }
    }

    pub(super) fn answer(&mut self, asked: &Asked<'_>) -> Done {
        match asked.operation {
            Operation::Put => {
                if asked.headers.contains_key("if-none-match") && self.objects.contains_key(asked.key) {
                    return Err(Refused(412, "PreconditionFailed", "there is an object of this name".to_owned()));
                }
                if !asked.headers.contains_key("if-none-match") {
                    self.overwriting.push(asked.key.to_owned());
                }
                let etag = self.put(asked.key, asked.body.clone(), asked.now);
                Ok(Reply { status: 200, headers: vec![("etag", etag)], ..Reply::default() })
            }
            Operation::Get => self.get(asked),
            Operation::Head => self.head(asked),
            Operation::Delete => {
                self.objects.remove(asked.key);
                Ok(Reply { status: 204, ..Reply::default() })
            }
            Operation::DeleteBatch => self.delete_batch(asked),
            Operation::List => self.list(asked),
            Operation::Create => Ok(self.create(asked)),
            Operation::Part => self.part(asked),
            Operation::Complete => self.complete(asked),
            Operation::Abort => {
                self.uploads.remove(self.upload(asked)?);
                Ok(Reply { status: 204, ..Reply::default() })
            }
            Operation::ListParts => self.list_parts(asked),
            Operation::ListUploads => self.list_uploads(asked),
            Operation::CreateSession => match &mut self.directory {
                Some(directory) => directory.begin(asked.headers, asked.now),
                None => Err(Refused(400, "InvalidRequest", "only directory buckets have sessions".into())),
            },
        }
    }

    fn object(&self, key: &str) -> Result<&Object, Refused> {
        self.objects.get(key).ok_or(Refused(404, "NoSuchKey", "The specified key does not exist.".into()))
    }

    fn get(&self, asked: &Asked<'_>) -> Done {
        let object = self.object(asked.key)?;
        let header = |name| asked.headers.get(name).and_then(|value| value.to_str().ok());
        if header("if-match").is_some_and(|etag| etag != object.etag) {
            return Err(Refused(412, "PreconditionFailed", "another object".into()));
        }
        let etag = ("etag", object.etag.clone());
        let Some(range) = header("range") else {
            return Ok(Reply { status: 200, headers: vec![etag], body: object.body.clone() });
        };
        let size = object.body.len();
        let (first, last) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).unwrap_or_default();
        let first: usize = first.parse().unwrap_or(usize::MAX);
        if first >= size {
            return Err(Refused(416, "InvalidRange", "The requested range is not satisfiable".into()));
        }
        let last = last.parse().unwrap_or(usize::MAX).min(size - 1);
        let range = ("content-range", format!("bytes {first}-{last}/{size}"));
        Ok(Reply { status: 206, headers: vec![etag, range], body: object.body.slice(first..=last) })
    }

    fn head(&self, asked: &Asked<'_>) -> Done {
        let object = self.object(asked.key)?;
        let headers = vec![("etag", object.etag.clone()), ("content-length", object.body.len().to_string())];
        Ok(Reply { status: 200, headers, body: Bytes::new() })
    }

    fn delete_batch(&mut self, asked: &Asked<'_>) -> Done {
        let sum = STANDARD.encode(ContentHash::of(&asked.body).as_bytes());
        let has_sum = match self.directory {
            Some(_) => asked.headers.get("x-amz-checksum-sha256").is_some_and(|given| given == sum.as_str()),
            None => asked.headers.contains_key("content-md5"),
        };
        if !has_sum {
            return Err(Refused(400, "InvalidRequest", "Missing required header for this request: a checksum".into()));
        }
        let body = text(&asked.body)?;
        let keys = contents(body, "Key");
        if keys.len() > 1000 {
            return Err(Refused(400, "MalformedXML", "more than 1000 keys".into()));
        }
        for key in keys {
            self.objects.remove(&plain(key));
        }
        Ok(good(document("DeleteResult", "")))
    }

    fn list(&self, asked: &Asked<'_>) -> Done {
        let prefix = asked.query.get("prefix").unwrap_or_default();
        let after = asked.query.get("continuation-token").unwrap_or_default();
        let asked_for = asked.query.get("max-keys").and_then(|keys| keys.parse().ok()).unwrap_or(1000);
        let page = self.page.min(asked_for);
        if self.directory.is_some() {
            directory::check_list(prefix, asked.query.get("start-after"))?;
        }
        let found = self.objects.iter().filter(|(key, _)| key.starts_with(prefix));
        let mut found: Vec<_> = found.map(|(key, object)| (self.place(key), key, object)).collect();
        found.retain(|((position, _), ..)| position.as_str() > after);
        found.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let mut found = found.into_iter();
        let mut content = String::new();
        let mut last = String::new();
        for ((_, marker), key, object) in found.by_ref().take(page) {
            let fields = element("Key", &form(key))
                + &element("LastModified", &moment(object.modified))
                + &element("ETag", &escape(&object.etag))
                + &element("Size", &object.body.len().to_string());
            content += &element("Contents", &fields);
            last = marker;
        }
        let more = found.next().is_some();
        content += &element("EncodingType", "url");
        content += &element("IsTruncated", if more { "true" } else { "false" });
        if more {
            content += &element("NextContinuationToken", &escape(&last));
        }
        Ok(good(document("ListBucketResult", &content)))
    }

    fn create(&mut self, asked: &Asked<'_>) -> Reply {
        let id = self.begin(asked.key, asked.now);
        good(document("InitiateMultipartUploadResult", &element("UploadId", &id)))
    }

    pub(super) fn begin(&mut self, key: &str, now: Timestamp) -> String {
        self.begun += 1;
        // As long and as odd as some stores' are.
        let id = format!("up.{:04}~_-{}", self.begun, "x".repeat(60));
        self.uploads.insert(id.clone(), Upload { key: key.to_owned(), begun: now, parts: BTreeMap::new() });
        id
    }

    fn upload<'a>(&self, asked: &Asked<'a>) -> Result<&'a str, Refused> {
        let id = asked.query.get("uploadId").unwrap_or_default();
        let known = self.uploads.get(id).is_some_and(|upload| upload.key == asked.key);
        known.then_some(id).ok_or(Refused(404, "NoSuchUpload", "The specified upload does not exist.".into()))
    }

    fn part(&mut self, asked: &Asked<'_>) -> Done {
        let id = self.upload(asked)?;
        let number = asked.query.get("partNumber").and_then(|number| number.parse().ok());
        let number = number.filter(|number| (1..=10_000).contains(number));
        let number = number.ok_or(Refused(400, "InvalidArgument", "part number".into()))?;
        let etag = self.tag(&asked.body);
        let upload = self.uploads.get_mut(id).expect("it was looked up above");
        upload.parts.insert(number, (etag.clone(), asked.body.clone()));
        Ok(Reply { status: 200, headers: vec![("etag", etag)], ..Reply::default() })
    }

    fn complete(&mut self, asked: &Asked<'_>) -> Done {
        let id = self.upload(asked)?;
        let upload = &self.uploads[id];
        let body = text(&asked.body)?;
        let mut pieces: Vec<Bytes> = Vec::new();
        let mut before = 0;
        for part in contents(body, "Part") {
            let number = contents(part, "PartNumber").first().and_then(|number| number.parse().ok()).unwrap_or(0);
            let etag = contents(part, "ETag").first().map(|etag| plain(etag)).unwrap_or_default();
            if number <= before {
                return Err(Refused(400, "InvalidPartOrder", "parts must ascend".into()));
            }
            if self.directory.is_some() && number != before + 1 {
                return Err(Refused(400, "InvalidPart", "the numbers of parts must be consecutive".into()));
            }
            before = number;
            match upload.parts.get(&number) {
                Some((tag, piece)) if *tag == etag => pieces.push(piece.clone()),
                _ => return Err(Refused(400, "InvalidPart", format!("part {number}"))),
            }
        }
        let Some((last, others)) = pieces.split_last() else {
            return Err(Refused(400, "MalformedXML", "no parts".into()));
        };
        if others.iter().any(|piece| piece.len() < PART_MIN_LEN) {
            return Err(Refused(400, "EntityTooSmall", "a part has less than 5 MiB".into()));
        }
        if others.iter().any(|piece| piece.len() != others[0].len() || piece.len() < last.len()) {
            return Err(Refused(400, "InvalidPart", "all parts but the last must have one length".into()));
        }
        let whole = Bytes::from(pieces.concat());
        self.uploads.remove(id);
        let etag = self.put(asked.key, whole, asked.now);
        Ok(good(document("CompleteMultipartUploadResult", &element("ETag", &escape(&etag)))))
    }

    fn list_parts(&self, asked: &Asked<'_>) -> Done {
        let upload = &self.uploads[self.upload(asked)?];
        let after = asked.query.get("part-number-marker").and_then(|marker| marker.parse().ok()).unwrap_or(0);
        let mut found = upload.parts.iter().filter(|(number, _)| **number > after);
        let mut content = String::new();
        for (number, (etag, body)) in found.by_ref().take(self.page) {
            let fields = element("PartNumber", &number.to_string())
                + &element("ETag", &escape(etag))
                + &element("Size", &body.len().to_string());
            content += &element("Part", &fields);
        }
        content += &element("IsTruncated", if found.next().is_some() { "true" } else { "false" });
        Ok(good(document("ListPartsResult", &content)))
    }

    fn list_uploads(&self, asked: &Asked<'_>) -> Done {
        if self.directory.is_some() {
            return self.list_uploads_of_directory(asked);
        }
        let prefix = asked.query.get("prefix").unwrap_or_default();
        let marker = |name| asked.query.get(name).unwrap_or_default();
        let after = (marker("key-marker"), marker("upload-id-marker"));
        let mut sorted: Vec<_> =
            self.uploads.iter().map(|(id, upload)| ((upload.key.as_str(), id.as_str()), upload)).collect();
        sorted.sort_by_key(|(name, _)| *name);
        let is_asked_for = |key: &str| if self.whole_names { key == prefix } else { key.starts_with(prefix) };
        let mut found = sorted.into_iter().filter(|((key, id), _)| is_asked_for(key) && (*key, *id) > after);
        let mut content = String::new();
        let mut last = None;
        for ((key, id), upload) in found.by_ref().take(self.page) {
            let fields =
                element("Key", &form(key)) + &element("UploadId", id) + &element("Initiated", &moment(upload.begun));
            content += &element("Upload", &fields);
            last = Some((key, id));
        }
        content += &element("EncodingType", "url");
        let more = found.next().is_some();
        content += &element("IsTruncated", if more { "true" } else { "false" });
        if let Some((key, id)) = last.filter(|_| more) {
            content += &(element("NextKeyMarker", &form(key)) + &element("NextUploadIdMarker", id));
        }
        Ok(good(document("ListMultipartUploadsResult", &content)))
    }

    /// In no order of names, and going on by a marker that is none and stands as it is.
    fn list_uploads_of_directory(&self, asked: &Asked<'_>) -> Done {
        let prefix = asked.query.get("prefix").unwrap_or_default();
        directory::check_list(prefix, asked.query.get("upload-id-marker"))?;
        let after = asked.query.get("key-marker").unwrap_or_default();
        let mut found: Vec<_> = self.uploads.iter().map(|(id, upload)| (self.place(id), id, upload)).collect();
        found.retain(|((position, _), _, upload)| upload.key.starts_with(prefix) && position.as_str() > after);
        found.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let mut found = found.into_iter();
        let mut content = String::new();
        let mut last = String::new();
        for ((_, marker), id, upload) in found.by_ref().take(self.page) {
            let fields = element("Key", &escape(&upload.key))
                + &element("UploadId", id)
                + &element("Initiated", &moment(upload.begun));
            content += &element("Upload", &fields);
            last = marker;
        }
        let more = found.next().is_some();
        content += &element("IsTruncated", if more { "true" } else { "false" });
        if more {
            content += &element("NextKeyMarker", &escape(&last));
        }
        Ok(good(document("ListMultipartUploadsResult", &content)))
    }
}

fn good(document: String) -> Reply {
    Reply { status: 200, headers: vec![("content-type", "application/xml".into())], body: document.into() }
}

/// A name as it stands in a listing with `encoding-type=url`: a blank is a plus.
fn form(key: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        byte => format!("%{byte:02X}"),
    };
    key.bytes().map(byte).collect()
}

fn text(body: &Bytes) -> Result<&str, Refused> {
    std::str::from_utf8(body).map_err(|_| Refused(400, "MalformedXML", "not UTF-8".into()))
}
