//! Entries by their whole address, for another Larder: whichever door wrote them, within the caller's rights.

use larder_base::{
    Access, Entry, EntryAddress, EntryPrefix, Error, ErrorKind, Key, ListPage, Namespace, NewEntry, PutIf, PutOutcome,
    Result,
};

use super::DoorCache;
use crate::counters::Outcome;
use crate::rights::Caller;

/// Whether a namespace is a Larder's own, for what its doors must remember: no other Larder sees it. Their names are a `~`
/// and a word; a project's name may begin so too, but goes on: `~user~project`.
pub fn is_own(namespace: &Namespace) -> bool {
    namespace.as_str().strip_prefix('~').is_some_and(|word| !word.is_empty() && !word.contains('~'))
}

impl DoorCache {
    /// The entry at an address, if the caller may see its scope; else there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] for another namespace than the caller's or a Larder's own, and those of the tier.
    pub async fn entry_at(&self, caller: &Caller, address: &EntryAddress, access: Access) -> Result<Option<Entry>> {
        check_namespace(caller, &address.namespace)?;
        let found =
            if caller.may_see(&address.scope) { self.cache.tiers.entries.get(address, access).await } else { Ok(None) };
        if access == Access::Serve {
            let outcome = match &found {
                Ok(Some(entry)) => {
                    self.cache.readers.note(caller, address, entry);
                    Outcome::Hit
                }
                Ok(None) => Outcome::Miss,
                Err(error) => Outcome::Error(error.kind()),
            };
            // Not under the address's door: a client may name any, and each would be counted for good.
            self.cache.counters.lookup(&self.door, &address.namespace, outcome);
        }
        found
    }

    /// Writes an entry at an address. Its writer is the caller, unless the caller may speak for others.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] for a scope that the caller does not write, and those of [`DoorCache::entry_at`].
    pub async fn put_at(
        &self,
        caller: &Caller,
        address: &EntryAddress,
        mut entry: NewEntry,
        condition: PutIf,
    ) -> Result<PutOutcome> {
        check_writes(caller, address)?;
        if !caller.speaks_for_others() {
            entry.writer = caller.principal().to_string();
        }
        let outcome = self.cache.tiers.entries.put(address, entry, condition).await;
        if matches!(outcome, Ok(PutOutcome::Stored(_))) {
            self.cache.quotas.note_change(&address.namespace);
        }
        self.cache.counters.write(&self.door, &address.namespace, Outcome::of_put(&outcome));
        outcome
    }

    /// Removes the entry at an address; says whether there was one.
    ///
    /// # Errors
    /// As [`DoorCache::put_at`]; an administrator may remove entries of any scope.
    pub async fn delete_at(&self, caller: &Caller, address: &EntryAddress) -> Result<bool> {
        if !caller.is_admin() {
            check_writes(caller, address)?;
        }
        check_namespace(caller, &address.namespace)?;
        self.cache.tiers.entries.delete(address).await
    }

    /// Entries of any door, newest first, of the scopes that the caller may see.
    ///
    /// # Errors
    /// As [`DoorCache::entry_at`].
    pub async fn list_at(
        &self,
        caller: &Caller,
        prefix: &EntryPrefix,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage> {
        check_namespace(caller, &prefix.namespace)?;
        Key::check_prefix(&prefix.prefix)?;
        self.cache.list_visible(caller, prefix, after, limit).await
    }

    /// Whether a caller may write anything at all here: what it sends for others to see.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when it may only read, or the namespace is a Larder's own.
    pub fn check_sends(&self, caller: &Caller) -> Result<()> {
        check_namespace(caller, caller.namespace())?;
        caller.write_scope().map(drop)
    }
}

fn check_namespace(caller: &Caller, namespace: &Namespace) -> Result<()> {
    if namespace == caller.namespace() && !is_own(namespace) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Denied, "authorize", format!("{} has no rights in {namespace}", caller.principal())))
}

fn check_writes(caller: &Caller, address: &EntryAddress) -> Result<()> {
    check_namespace(caller, &address.namespace)?;
    if caller.may_write(&address.scope) {
        return Ok(());
    }
    let message = format!("{} may not write scope {}", caller.principal(), address.scope);
    Err(Error::new(ErrorKind::Denied, "authorize", message)
        .with_hint("a node's [upstream] scope must be the one that its token writes"))
}
