//! Listings of the scopes that a caller may see.
//!
//! A listing of several scopes is put together from one of each, never picked from one of all: how far the others go, and when
//! something was written there, must not show in what comes, in how much of it comes, nor in the cursor.

use std::cmp::Reverse;

use larder_base::{EntryPrefix, Error, ListPage, Listed, Result, Scope};

use super::Inner;
use crate::rights::Caller;

/// Where a listing goes on in one scope: at its start (empty), behind a tier's cursor, or nowhere any more.
type Place = Option<String>;

impl Inner {
    /// A page of the entries with a prefix, newest first, of the scopes that the caller may see.
    pub(super) async fn list_visible(
        &self,
        caller: &Caller,
        prefix: &EntryPrefix,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage> {
        let entries = &self.tiers.entries;
        match &prefix.scope {
            Some(scope) if !caller.may_see(scope) => return Ok(ListPage::default()),
            None if !caller.is_admin() => {}
            _ => return entries.list(prefix, after, limit).await,
        }
        let scopes = caller.visible_scopes();
        match scopes.as_slice() {
            [] => Ok(ListPage::default()),
            [scope] => entries.list(&within(prefix, scope), after, limit).await,
            _ => self.list_several(&scopes, prefix, after, limit).await,
        }
    }

    async fn list_several(
        &self,
        scopes: &[Scope],
        prefix: &EntryPrefix,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage> {
        let mut places = read_places(after, scopes.len())?;
        let mut found = Vec::new();
        for (number, (scope, place)) in scopes.iter().zip(&places).enumerate() {
            let page = self.list_from(&within(prefix, scope), place.as_deref(), limit).await?;
            found.extend(page.entries.iter().map(|listed| (age(listed), number)));
        }
        found.sort_unstable();
        found.truncate(limit);
        let mut entries = Vec::new();
        for (number, (scope, place)) in scopes.iter().zip(&mut places).enumerate() {
            let taken = found.iter().filter(|(_, from)| *from == number).count();
            if taken == 0 && place.is_some() {
                // Even where nothing is taken, the end is to be seen.
                let is_empty = self.list_from(&within(prefix, scope), place.as_deref(), 1).await?.entries.is_empty();
                *place = place.take().filter(|_| !is_empty);
            } else if taken > 0 {
                // Once more and only so far, for the cursor behind the last one.
                let page = self.list_from(&within(prefix, scope), place.as_deref(), taken).await?;
                entries.extend(page.entries);
                *place = page.next;
            }
        }
        entries.sort_by_key(age);
        let next = places.iter().any(Option::is_some).then(|| write_places(&places));
        Ok(ListPage { entries, next })
    }

    async fn list_from(&self, prefix: &EntryPrefix, place: Option<&str>, limit: usize) -> Result<ListPage> {
        match place {
            None => Ok(ListPage::default()),
            Some(after) => self.tiers.entries.list(prefix, Some(after).filter(|after| !after.is_empty()), limit).await,
        }
    }
}

fn within(prefix: &EntryPrefix, scope: &Scope) -> EntryPrefix {
    EntryPrefix { scope: Some(scope.clone()), ..prefix.clone() }
}

/// The newest first, and of one moment the later written.
fn age(listed: &Listed) -> Reverse<(larder_base::Timestamp, u64)> {
    Reverse((listed.entry.created, listed.entry.revision))
}

fn write_places(places: &[Place]) -> String {
    serde_json::to_string(places).expect("texts are JSON")
}

fn read_places(after: Option<&str>, scopes: usize) -> Result<Vec<Place>> {
    let Some(after) = after else { return Ok(vec![Some(String::new()); scopes]) };
    let places = serde_json::from_str::<Vec<Place>>(after).ok().filter(|places| places.len() == scopes);
    places.ok_or_else(|| Error::invalid("list entries", "the cursor is none of an earlier page"))
}

#[cfg(test)]
mod tests;
