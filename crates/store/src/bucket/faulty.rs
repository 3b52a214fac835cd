//! A bucket in memory that fails, forgets and lies as a test asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_base::{Clock, Error, ErrorKind, Result, Timestamp, TransferUrl};
use parking_lot::Mutex;

use super::{Bucket, Object, ObjectName, ObjectPage};
use crate::disk::{DiskFile, read_exact_at};

/// What the bucket does with the call whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does nothing and fails, once.
    Fail,
    /// It does nothing and refuses, once, for a reason that does not pass.
    Refuse,
    /// It does what it is asked, and the answer is lost.
    NoAnswer,
    /// It and all later ones fail, until [`FaultyBucket::heal`].
    Down,
    /// The process dies before the call arrives.
    DieBefore,
    /// The process dies before the answer arrives.
    DieAfter,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, (Bytes, Timestamp)>,
    calls: u64,
    log: Vec<String>,
    fault: Option<(u64, Fault)>,
    down: bool,
    /// At most so many bytes are answered to one read.
    read_most: Option<usize>,
    /// Objects of one page of a list.
    page: Option<usize>,
    /// Names that lists leave out.
    unlisted: Vec<String>,
    now: Timestamp,
    on_death: Option<Arc<dyn Fn() + Send + Sync>>,
    on_call: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// The bucket; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct FaultyBucket {
    state: Arc<Mutex<State>>,
    clock: Option<Arc<dyn Clock>>,
}

fn failed() -> Error {
    Error::new(ErrorKind::Unavailable, "use bucket", "the bucket does not answer")
}

impl FaultyBucket {
    /// A bucket that notes when objects are put by this clock.
    pub(crate) fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..Self::default() }
    }

    /// How often it was called.
    pub(crate) fn calls(&self) -> u64 {
        self.state.lock().calls
    }

    /// The calls so far, as verb and name.
    pub(crate) fn log(&self) -> Vec<String> {
        self.state.lock().log.clone()
    }

    /// Lets a fault happen at the `after`th call from now, the first being 1.
    pub(crate) fn plan(&self, after: u64, fault: Fault) {
        let mut state = self.state.lock();
        state.fault = Some((state.calls + after, fault));
    }

    /// What to do when the process dies.
    pub(crate) fn on_death(&self, die: impl Fn() + Send + Sync + 'static) {
        self.state.lock().on_death = Some(Arc::new(die));
    }

    /// What to do in every call.
    pub(crate) fn on_call(&self, look: impl Fn() + Send + Sync + 'static) {
        self.state.lock().on_call = Some(Arc::new(look));
    }

    /// It answers again.
    pub(crate) fn heal(&self) {
        let mut state = self.state.lock();
        (state.down, state.fault) = (false, None);
    }

    /// Answers at most so many bytes to one read.
    pub(crate) fn read_at_most(&self, most: usize) {
        self.state.lock().read_most = Some(most);
    }

    /// Lists so many objects a page, in no order as ever, and never these.
    pub(crate) fn list_as(&self, page: usize, unlisted: &[String]) {
        let mut state = self.state.lock();
        (state.page, state.unlisted) = (Some(page), unlisted.to_vec());
    }

    /// The names of all objects.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state.lock().objects.keys().cloned().collect()
    }

    /// The bytes of an object.
    pub(crate) fn bytes(&self, name: &str) -> Option<Bytes> {
        self.state.lock().objects.get(name).map(|(bytes, _)| bytes.clone())
    }

    /// Puts an object behind the store's back; `None` takes it away.
    pub(crate) fn set(&self, name: &str, bytes: Option<Bytes>) {
        let now = self.now();
        let mut state = self.state.lock();
        match bytes {
            Some(bytes) => state.objects.insert(name.into(), (bytes, now)),
            None => state.objects.remove(name),
        };
    }

    fn now(&self) -> Timestamp {
        self.clock.as_ref().map(|clock| clock.now()).unwrap_or_default()
    }

    fn call<T>(&self, what: String, act: impl FnOnce(&mut State) -> T) -> Result<T> {
        let look = self.state.lock().on_call.clone();
        if let Some(look) = look {
            look();
        }
        let now = self.now();
        let mut state = self.state.lock();
        state.now = now;
        state.calls += 1;
        state.log.push(what);
        let fault = state.fault.filter(|(at, _)| *at == state.calls).map(|(_, fault)| fault);
        if fault == Some(Fault::Down) {
            state.down = true;
        }
        let dies = matches!(fault, Some(Fault::DieBefore | Fault::DieAfter));
        let acts = !state.down && !matches!(fault, Some(Fault::Fail | Fault::Refuse | Fault::DieBefore));
        let done = acts.then(|| act(&mut state));
        if dies {
            state.down = true;
            let die = state.on_death.clone();
            drop(state);
            if let Some(die) = die {
                die();
            }
        }
        match done {
            Some(done) if fault.is_none() => Ok(done),
            _ if fault == Some(Fault::Refuse) => Err(Error::new(ErrorKind::Failed, "use bucket", "it will not")),
            _ => Err(failed()),
        }
    }
}

impl Bucket for FaultyBucket {
    fn put(&self, name: &ObjectName, file: Arc<dyn DiskFile>, length: u64) -> Result<()> {
        let mut bytes = vec![0; length as usize];
        read_exact_at(&*file, &mut bytes, 0).unwrap();
        self.call(format!("put {name}"), |state| {
            state.objects.insert(name.to_string(), (bytes.into(), state.now));
        })
    }

    fn read(&self, name: &ObjectName, offset: u64, length: u64, _: Duration) -> Result<Option<Bytes>> {
        self.call(format!("read {name} {offset} {length}"), |state| {
            let (bytes, _) = state.objects.get(name.as_str())?;
            let from = bytes.len().min(offset as usize);
            let most = state.read_most.unwrap_or(usize::MAX).min(length as usize);
            Some(bytes.slice(from..from + most.min(bytes.len() - from)))
        })
    }

    fn delete(&self, name: &ObjectName) -> Result<()> {
        self.call(format!("delete {name}"), |state| {
            state.objects.remove(name.as_str());
        })
    }

    fn list(&self, start: &str, next: Option<&str>) -> Result<ObjectPage> {
        self.call(format!("list {start}"), |state| {
            // As good as no order: the beginnings of names say nothing of it.
            let position = |name: &str| name.chars().rev().collect::<String>();
            let listed = state.objects.iter().filter(|(name, _)| name.starts_with(start));
            let mut listed: Vec<_> = listed.map(|(name, object)| (position(name), name, object)).collect();
            listed.retain(|(position, ..)| next.is_none_or(|next| position.as_str() > next));
            listed.sort_unstable_by(|one, other| one.0.cmp(&other.0));
            let page = state.page.unwrap_or(1000);
            let next = listed.get(page - 1).map(|(position, ..)| position.clone());
            listed.truncate(page);
            let objects = listed.into_iter().filter(|(_, name, _)| !state.unlisted.contains(name));
            let objects = objects.filter_map(|(_, name, (bytes, modified))| {
                let name = name.parse().ok()?;
                Some(Object { name, length: bytes.len() as u64, modified: *modified })
            });
            ObjectPage { objects: objects.collect(), next }
        })
    }

    fn read_url(&self, name: &ObjectName, offset: u64, length: u64, _: Duration) -> Result<Option<TransferUrl>> {
        Ok(Some(url(format!("get {name} {offset} {length}"))))
    }

    fn put_url(&self, name: &ObjectName, length: u64, _: Duration) -> Result<Option<TransferUrl>> {
        Ok(Some(url(format!("put {name} {length}"))))
    }
}

fn url(url: String) -> TransferUrl {
    TransferUrl { url, headers: Vec::new(), expires: Timestamp::default() }
}
