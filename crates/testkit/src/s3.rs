//! An object store on a real socket that keeps the rules which real ones keep, and breaks what it is told to break.
//!
//! Every request must be signed, by a query string, for the bucket's one pair of keys; the signature is computed anew from
//! the protocol's description, and expiry is judged by the clock that the test holds. Parts follow the strictest of the real
//! stores: 5 MiB at least, all of one size but the last, tags as they were told.
//!
//! A directory bucket (S3 Express One Zone) is another thing: the keys only begin sessions, which last five minutes and sign
//! all other requests, by a query string or by headers; lists are in no order, of whole folders, and go on only by a marker
//! that is no name; tags say nothing of the content; MD5 is not known.

mod directory;
mod document;
mod fault;
mod operation;
mod server;
mod signature;
mod state;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use larder_base::Clock;
use parking_lot::Mutex;
use tokio::sync::watch;

pub use fault::Fault;
pub use operation::Operation;

use directory::Directory;
use fault::Faults;
use signature::Grant;
use state::{Refused, State};

/// The one bucket.
pub const BUCKET: &str = "cache";
/// The one bucket of a store that has a directory bucket.
pub const DIRECTORY_BUCKET: &str = "cache--eut1-az1--x-s3";
/// The region that signatures must be for.
pub const REGION: &str = "eu-test-1";
/// The public half of the one pair of keys.
pub const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
/// The secret half of it.
pub const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// The store. It ends with the runtime that it was started on.
#[derive(Clone)]
pub struct FakeS3 {
    url: String,
    shared: Arc<Shared>,
}

struct Shared {
    bucket: &'static str,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    faults: Mutex<Faults>,
    seen: Mutex<Vec<Operation>>,
    session: Mutex<Option<String>>,
    clients: Clients,
    held: AtomicUsize,
    /// How often what was held was let go on.
    releases: watch::Sender<u64>,
}

/// What becomes of those who have a URL and no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lockout {
    /// Their connections are broken.
    Reset,
    /// They are not answered.
    Silence,
}

/// Those who have a URL of the bucket's owner and no keys.
#[derive(Default)]
struct Clients {
    lockout: Mutex<Option<Lockout>>,
    put: AtomicU64,
    got: AtomicU64,
}

impl Shared {
    /// What the holder of a pair of keys may be asked for besides, by the public half of it.
    fn grant(&self, operation: Operation, id: &str) -> Result<Grant, Refused> {
        let service = match &self.state.lock().directory {
            Some(directory) if operation != Operation::CreateSession => return directory.grant(id, self.clock.now()),
            Some(_) => directory::SERVICE,
            None => "s3",
        };
        if id != ACCESS_KEY_ID {
            return Err(Refused(403, "InvalidAccessKeyId", "nobody has this key".into()));
        }
        let token = self.session.lock().clone().map(|token| ("x-amz-security-token", token));
        Ok(Grant { secret: SECRET_ACCESS_KEY.to_owned(), service, token })
    }

    /// Returns when the test lets held requests go on.
    async fn hold(&self) {
        let mut releases = self.releases.subscribe();
        let _held = Held::new(&self.held);
        // The sender lives as long as this.
        let _ = releases.changed().await;
    }
}

/// A request that is held, until its connection is gone or the test lets it go on.
struct Held<'a>(&'a AtomicUsize);

impl<'a> Held<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl FakeS3 {
    /// A store with an empty bucket.
    ///
    /// # Panics
    /// When this machine has no free port.
    pub async fn start(clock: Arc<dyn Clock>) -> Self {
        Self::with(BUCKET, State::default(), clock).await
    }

    /// A store with an empty directory bucket.
    ///
    /// # Panics
    /// As [`FakeS3::start`].
    pub async fn start_directory(clock: Arc<dyn Clock>) -> Self {
        let mut state = State::default();
        state.directory = Some(Directory::default());
        Self::with(DIRECTORY_BUCKET, state, clock).await
    }

    async fn with(bucket: &'static str, state: State, clock: Arc<dyn Clock>) -> Self {
        let shared = Arc::new(Shared {
            bucket,
            clock,
            state: Mutex::new(state),
            faults: Mutex::default(),
            seen: Mutex::default(),
            session: Mutex::default(),
            clients: Clients::default(),
            held: AtomicUsize::new(0),
            releases: watch::Sender::new(0),
        });
        let url = server::start(Arc::clone(&shared)).await;
        Self { url, shared }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Breaks the next `times` requests of a kind.
    pub fn inject(&self, operation: Operation, fault: Fault, times: usize) {
        self.shared.faults.lock().add(operation, fault, times);
    }

    /// How many requests are held now.
    pub fn held(&self) -> usize {
        self.shared.held.load(Ordering::SeqCst)
    }

    /// Lets the requests that are held go on.
    pub fn release(&self) {
        self.shared.releases.send_modify(|releases| *releases += 1);
    }

    /// Breaks nothing any more of what [`FakeS3::inject`] and [`FakeS3::deny`] asked for.
    pub fn heal(&self) {
        *self.shared.faults.lock() = Faults::default();
    }

    /// Denies requests of these kinds from now on.
    pub fn deny(&self, operations: &[Operation]) {
        self.shared.faults.lock().denied.extend(operations);
    }

    /// Does not know requests of these kinds from now on.
    pub fn lack(&self, operations: &[Operation]) {
        self.shared.faults.lock().lacked.extend(operations);
    }

    /// Accepts only this session token from now on, and calls any other one expired; `None` for keys without a session.
    pub fn use_session(&self, token: Option<&str>) {
        *self.shared.session.lock() = token.map(str::to_owned);
    }

    /// Ends the sessions of a directory bucket before their time.
    pub fn end_sessions(&self) {
        if let Some(directory) = &mut self.shared.state.lock().directory {
            directory.end_sessions();
        }
    }

    /// Ends pages of listings after so many.
    pub fn limit_pages(&self, length: usize) {
        self.shared.state.lock().page = length;
    }

    /// Lists uploads by the whole name of an object only, as MinIO does.
    pub fn list_uploads_by_name(&self) {
        self.shared.state.lock().whole_names = true;
    }

    /// Begins an upload past the protocol.
    pub fn begin_upload(&self, key: &str) {
        let now = self.shared.clock.now();
        self.shared.state.lock().begin(key, now);
    }

    /// Keeps those away who have a URL and no keys, as a firewall does; or lets them in again.
    pub fn lock_clients_out(&self, lockout: Option<Lockout>) {
        *self.shared.clients.lockout.lock() = lockout;
    }

    /// The bytes that those who have a URL and no keys put, and got.
    pub fn carried(&self) -> (u64, u64) {
        let Clients { put, got, .. } = &self.shared.clients;
        (put.load(Ordering::SeqCst), got.load(Ordering::SeqCst))
    }

    /// Loses an object, as a lifecycle rule or a person does.
    pub fn forget(&self, key: &str) {
        self.shared.state.lock().objects.remove(key);
    }

    /// The bytes of an object, by its whole name.
    pub fn object(&self, key: &str) -> Option<Bytes> {
        self.shared.state.lock().objects.get(key).map(|object| object.body.clone())
    }

    /// The names of all objects.
    pub fn keys(&self) -> Vec<String> {
        self.shared.state.lock().objects.keys().cloned().collect()
    }

    /// How many puts to names with `part` in them would have replaced an object.
    pub fn overwriting_puts(&self, part: &str) -> usize {
        self.shared.state.lock().overwriting.iter().filter(|name| name.contains(part)).count()
    }

    /// Puts an object past the protocol.
    pub fn put(&self, key: &str, body: impl Into<Bytes>) {
        let now = self.shared.clock.now();
        self.shared.state.lock().put(key, body.into(), now);
    }

    /// How many objects there are, and how many unfinished uploads.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.shared.state.lock();
        (state.objects.len(), state.uploads.len())
    }

    /// The kinds of requests that came, in order, broken ones included.
    pub fn seen(&self) -> Vec<Operation> {
        self.shared.seen.lock().clone()
    }
}

impl std::fmt::Debug for FakeS3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeS3").field("url", &self.url).finish_non_exhaustive()
    }
}
