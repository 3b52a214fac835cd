//! Entries of the Larder above.

use bytes::Bytes;
use http::Method;
use larder_base::{
    Access, BoxFuture, ContentHash, Entries, Entry, EntryAddress, EntryBody, EntryPrefix, ListPage, Listed, NewEntry,
    PutIf, PutOutcome, Result, Timestamp,
};
use larder_proto::tier::{
    Address, BlobName, DeleteAnswer, EntryAnswer, EntryHead, EntryRequest, Frame, HASH_LEN, ListAnswer, ListRequest,
    ListedEntry, PAGE_MAX, PutHead, When,
};
use serde::Serialize;

use super::{UpstreamTier, digest_of, json, known, text_of, unreadable};

impl UpstreamTier {
    async fn post(&self, address: &EntryAddress, path: &str, request: &impl Serialize) -> Result<Bytes> {
        let body = serde_json::to_vec(request).expect("the protocol's requests have no maps with keys that JSON lacks");
        self.ask(&self.call(Method::POST, &address.namespace, path, body.into())).await
    }

    async fn get_entry(&self, address: &EntryAddress, access: Access) -> Result<Option<Entry>> {
        let request = EntryRequest { address: wire(address), serve: access == Access::Serve };
        let answer = self.post(address, "entries/get", &request).await?;
        match Answer::read(&answer)? {
            Answer { say: EntryAnswer::Found(head), links, value } => entry(head, links, value).map(Some),
            Answer { say: EntryAnswer::Absent, .. } => Ok(None),
            _ => Err(unreadable("a look-up was answered as something else")),
        }
    }

    async fn put_entry(&self, address: &EntryAddress, new: NewEntry, condition: PutIf) -> Result<PutOutcome> {
        let (stored, value) = match new.body {
            EntryBody::Stored(digest) => {
                (Some(BlobName { hash: text_of(&digest.hash), size: digest.size }), Bytes::new())
            }
            EntryBody::Value(value) => (None, value),
        };
        let when = match condition {
            PutIf::Absent => When::Absent,
            PutIf::Always => When::Always,
            PutIf::Unchanged(revision) => When::Unchanged(revision),
        };
        let head = PutHead { address: wire(address), stored, attributes: new.attributes, writer: new.writer, when };
        let links: Vec<[u8; HASH_LEN]> = new.links.iter().map(ContentHash::to_key).collect();
        let mut call = self.call(
            Method::POST,
            &address.namespace,
            "entries/put",
            Frame::write(&head, links.iter(), &value).into(),
        );
        call.wait = super::KEEPING;
        let Answer { say, links, value } = Answer::read(&self.ask(&call).await?)?;
        Ok(match say {
            EntryAnswer::Stored(head) => PutOutcome::Stored(entry(head, links, value)?),
            EntryAnswer::Kept(Some(head)) => PutOutcome::Kept(Some(entry(head, links, value)?)),
            EntryAnswer::Kept(None) => PutOutcome::Kept(None),
            EntryAnswer::Incomplete => PutOutcome::Incomplete(links),
            _ => return Err(unreadable("a put was answered as something else")),
        })
    }

    async fn list_entries(&self, prefix: &EntryPrefix, after: Option<&str>, limit: usize) -> Result<ListPage> {
        let request = ListRequest {
            scope: prefix.scope.as_ref().map(ToString::to_string),
            door: prefix.door.as_ref().map(ToString::to_string),
            prefix: prefix.prefix.clone(),
            after: after.map(str::to_owned),
            // A page may be shorter than was asked for.
            limit: u32::try_from(limit).unwrap_or(PAGE_MAX).min(PAGE_MAX),
        };
        let body = serde_json::to_vec(&request).expect("names and numbers are JSON");
        let answer = self.ask(&self.call(Method::POST, &prefix.namespace, "entries/list", body.into())).await?;
        let ListAnswer { entries, next } = json(&answer)?;
        let line = |listed: ListedEntry| {
            let bad_name = |error| unreadable(format!("a listing holds a bad name: {error}"));
            let address = EntryAddress {
                namespace: prefix.namespace.clone(),
                scope: listed.address.scope.parse().map_err(bad_name)?,
                door: listed.address.door.parse().map_err(bad_name)?,
                key: listed.address.key.parse().map_err(bad_name)?,
            };
            Ok(Listed { address, entry: entry(listed.entry, Vec::new(), Bytes::new())? })
        };
        Ok(ListPage { entries: entries.into_iter().map(line).collect::<Result<_>>()?, next })
    }

    async fn delete_entry(&self, address: &EntryAddress) -> Result<bool> {
        let request = EntryRequest { address: wire(address), serve: false };
        let DeleteAnswer { deleted } = json(&self.post(address, "entries/delete", &request).await?)?;
        Ok(deleted)
    }
}

impl Entries for UpstreamTier {
    fn get<'a>(&'a self, address: &'a EntryAddress, access: Access) -> BoxFuture<'a, Result<Option<Entry>>> {
        Box::pin(self.get_entry(address, access))
    }

    fn put<'a>(
        &'a self,
        address: &'a EntryAddress,
        entry: NewEntry,
        condition: PutIf,
    ) -> BoxFuture<'a, Result<PutOutcome>> {
        Box::pin(self.put_entry(address, entry, condition))
    }

    fn list<'a>(
        &'a self,
        prefix: &'a EntryPrefix,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<ListPage>> {
        Box::pin(self.list_entries(prefix, after, limit))
    }

    fn delete<'a>(&'a self, address: &'a EntryAddress) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.delete_entry(address))
    }
}

/// An answer about one entry, taken apart.
struct Answer {
    say: EntryAnswer,
    links: Vec<ContentHash>,
    value: Bytes,
}

impl Answer {
    fn read(body: &Bytes) -> Result<Self> {
        let cut = || unreadable("an answer about an entry cannot be read");
        let frame = Frame::read(body).ok_or_else(cut)?;
        let say = frame.head().ok_or_else(cut)?;
        Ok(Self { say, links: frame.hashes().map(known).collect::<Result<_>>()?, value: body.slice(frame.value_at..) })
    }
}

fn entry(head: EntryHead, links: Vec<ContentHash>, value: Bytes) -> Result<Entry> {
    let blob = digest_of(&head.blob)?;
    // The one content that is used as it comes is checked here; all else is checked where it is kept.
    if head.with_value && (value.len() as u64 != blob.size || !blob.hash.names(&value)) {
        return Err(larder_base::Error::new(
            larder_base::ErrorKind::Corrupt,
            "read entry",
            "the upstream sent a value that does not hash to its name",
        ));
    }
    Ok(Entry {
        blob,
        inline: head.with_value.then_some(value),
        attributes: head.attributes,
        links: links.into(),
        writer: head.writer,
        created: Timestamp::from_millis(head.created_ms),
        last_served: Timestamp::from_millis(head.last_served_ms),
        revision: head.revision,
    })
}

fn wire(address: &EntryAddress) -> Address {
    Address { scope: address.scope.to_string(), door: address.door.to_string(), key: address.key.to_string() }
}
