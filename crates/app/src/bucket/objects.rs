//! The bucket as the store uses it: the asynchronous client, for threads that may wait.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use larder_base::{BlobStream, Error, ErrorKind, Result, TransferUrl};
use larder_remote::s3::{self, ObjectBody, Presigned, SweptChecks};
use larder_store::{Bucket, DiskFile, Object, ObjectName, ObjectPage};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Bytes of a segment that are read at once while it is sent.
const PIECE: u64 = 1 << 20;

/// How long a client that asks for a URL waits for the trial of the store.
const TRIAL: Duration = Duration::from_secs(3);

/// Objects of one bucket. Every call waits, so none may be made by a thread that serves connections.
pub struct Objects {
    bucket: s3::Bucket,
    runtime: Handle,
    /// Whether clients get URLs.
    direct: bool,
    /// Whether clients may put: only where the store keeps the first object of a name. Else whoever has a URL could put
    /// another in the place of what was verified. Unknown until the store was asked.
    takes_parts: Mutex<Option<bool>>,
    /// The name of the object that the store is tried with now.
    trial: Mutex<Option<String>>,
    ended: watch::Sender<bool>,
}

impl Objects {
    /// The objects of a bucket, fetched on the runtime that this is called in.
    pub fn new(bucket: s3::Bucket, direct: bool) -> Self {
        Self {
            bucket,
            runtime: Handle::current(),
            direct,
            takes_parts: Mutex::new(None),
            trial: Mutex::new(None),
            ended: watch::Sender::new(false),
        }
    }

    /// Has every call fail from here on, those included that wait for an answer: without its runtime none comes. To be called
    /// before that ends.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Removes what checks of the bucket and trials of the store have left that were cut off at least `age` ago.
    ///
    /// # Errors
    /// What the store refuses.
    pub async fn sweep_checks(&self, age: Duration) -> Result<SweptChecks> {
        let is_in_use = |key: &str| self.trial.lock().as_deref() == Some(key);
        self.unless_ended(s3::sweep_checks(&self.bucket, age, is_in_use)).await
    }

    fn wait<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(self.unless_ended(answer))
    }

    async fn unless_ended<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        let mut ended = self.ended.subscribe();
        tokio::select! {
            biased;
            _ = ended.wait_for(|ended| *ended) => {
                Err(Error::new(ErrorKind::Unavailable, "ask bucket", "the server is stopping"))
            }
            answer = answer => answer,
        }
    }

    fn takes_parts(&self) -> bool {
        // While one asks, the others do not wait: their parts go through the server.
        let Some(mut takes_parts) = self.takes_parts.try_lock() else { return false };
        if let Some(known) = *takes_parts {
            return known;
        }
        let key = s3::trial_key(super::nonce());
        *self.trial.lock() = Some(key.clone());
        let trial = self.wait(async {
            let trial = tokio::time::timeout(TRIAL, self.bucket.keeps_the_first(&key)).await;
            trial.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, "try bucket", "no answer in time")))
        });
        *self.trial.lock() = None;
        match trial {
            Ok(keeps) => {
                if !keeps {
                    tracing::warn!(
                        bucket = self.bucket.name(),
                        "the store does not keep the first object of a name (If-None-Match); uploads go through this server"
                    );
                }
                *takes_parts = Some(keeps);
                keeps
            }
            Err(error) => {
                tracing::debug!(%error, "the store could not be asked; this part goes through the server");
                false
            }
        }
    }
}

impl Bucket for Objects {
    fn put(&self, name: &ObjectName, file: Arc<dyn DiskFile>, length: u64) -> Result<()> {
        let body = ObjectBody::reading(length, move || pieces(Arc::clone(&file), length));
        self.wait(self.bucket.put_object(name.as_str(), &body))
    }

    fn read(&self, name: &ObjectName, offset: u64, length: u64, within: Duration) -> Result<Option<Bytes>> {
        self.wait(async {
            let read = self.bucket.get_at_most(name.as_str(), offset, length);
            tokio::time::timeout(within, read).await.unwrap_or_else(|_| {
                let message = format!("{name}: {length} bytes did not come within {} s", within.as_secs_f32());
                Err(Error::new(ErrorKind::Unavailable, "read object", message))
            })
        })
    }

    fn delete(&self, name: &ObjectName) -> Result<()> {
        self.wait(self.bucket.delete_object(name.as_str()))
    }

    fn list(&self, start: &str, next: Option<&str>) -> Result<ObjectPage> {
        let page = self.wait(self.bucket.list(start, next))?;
        let object = |stored: s3::StoredObject| {
            Some(Object { name: stored.key.parse().ok()?, length: stored.size, modified: stored.modified })
        };
        Ok(ObjectPage { objects: page.objects.into_iter().filter_map(object).collect(), next: page.next })
    }

    fn read_url(&self, name: &ObjectName, offset: u64, length: u64, life: Duration) -> Result<Option<TransferUrl>> {
        if !self.direct {
            return Ok(None);
        }
        let signed = self.wait(self.bucket.presign_range(name.as_str(), offset, length, life))?;
        Ok(Some(transfer_url(signed)))
    }

    fn put_url(&self, name: &ObjectName, length: u64, life: Duration) -> Result<Option<TransferUrl>> {
        if !self.direct || !self.takes_parts() {
            return Ok(None);
        }
        let signed = self.wait(self.bucket.presign_new(name.as_str(), length, life))?;
        Ok(Some(transfer_url(signed)))
    }
}

fn transfer_url(signed: Presigned) -> TransferUrl {
    let headers = signed.headers.into_iter().map(|(name, value)| (name.to_owned(), value));
    TransferUrl { url: signed.url, headers: headers.collect(), expires: signed.expires }
}

/// The first `length` bytes of a file.
fn pieces(file: Arc<dyn DiskFile>, length: u64) -> BlobStream {
    Box::pin(stream::try_unfold(0, move |at| {
        let file = Arc::clone(&file);
        async move {
            if at == length {
                return Ok(None);
            }
            let wanted = PIECE.min(length - at);
            #[expect(
                clippy::disallowed_methods,
                reason = "one read of a file at a time, for the one segment that is shipped"
            )]
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; usize::try_from(wanted).expect("a piece is short")];
                file.read_at(&mut piece, at).map(|read| {
                    piece.truncate(read);
                    Bytes::from(piece)
                })
            });
            let failed = |message: &str| Error::new(ErrorKind::Failed, "ship segment", message);
            let piece = read.await.map_err(|error| failed("reading broke off").with_source(error))?;
            let piece = piece.map_err(|error| failed("the file cannot be read").with_source(error))?;
            if piece.is_empty() {
                return Err(failed("the file is shorter than it was"));
            }
            let next = at + piece.len() as u64;
            Ok(Some((piece, next)))
        }
    }))
}

#[cfg(test)]
mod tests;
