//! Entries, by their whole address.

use axum::Json as Told;
use axum::extract::State;
use bytes::Bytes;
use larder_base::{
    Access, ByteRange, ContentHash, Entry, EntryBody, EntryPrefix, NewEntry, PutIf, PutOutcome, collect,
};
use larder_cache::Caller;
use larder_proto::tier::{
    Address, BlobName, DeleteAnswer, EntryAnswer, EntryHead, EntryRequest, Frame, HASH_LEN, ListAnswer, ListRequest,
    ListedEntry, PAGE_MAX, PutHead, When,
};

use crate::Tier;
use crate::blobs::text_of;
use crate::failure::Failure;
use crate::request::{Asker, Framed, Json, address_of, digest_of, known};

/// `POST entries/get`
pub(crate) async fn get(
    State(tier): State<Tier>,
    Asker(caller): Asker,
    Json(request): Json<EntryRequest>,
) -> Result<Vec<u8>, Failure> {
    let address = address_of(caller.namespace(), &request.address)?;
    let access = if request.serve { Access::Serve } else { Access::Check };
    let Some(entry) = tier.cache.entry_at(&caller, &address, access).await? else {
        return Ok(Frame::write(&EntryAnswer::Absent, [].iter(), b""));
    };
    let value = if request.serve { at_hand(&tier, &caller, &entry).await? } else { entry.inline.clone() };
    Ok(answer(EntryAnswer::Found, &entry, value))
}

/// The value, where it is small enough to travel with its entry.
async fn at_hand(tier: &Tier, caller: &Caller, entry: &Entry) -> Result<Option<Bytes>, Failure> {
    if entry.inline.is_some() || entry.blob.size > larder_base::AT_HAND_MAX_BYTES as u64 {
        return Ok(entry.inline.clone());
    }
    let Some(blob) = tier.cache.value(caller, entry, ByteRange::ALL).await? else { return Ok(None) };
    Ok(Some(collect(blob.body, larder_base::AT_HAND_MAX_BYTES).await?))
}

/// `POST entries/put`
pub(crate) async fn put(
    State(tier): State<Tier>,
    Asker(caller): Asker,
    Framed(body): Framed,
) -> Result<Vec<u8>, Failure> {
    let cut = || Failure::invalid("the body is not the frame expected here");
    let frame = Frame::read(&body).ok_or_else(cut)?;
    let head: PutHead = frame.head().ok_or_else(cut)?;
    let address = address_of(caller.namespace(), &head.address)?;
    let value = match &head.stored {
        Some(name) => EntryBody::Stored(digest_of(name)?),
        None => EntryBody::Value(body.slice(frame.value_at..)),
    };
    let links = frame.hashes().map(known).collect::<Result<Vec<_>, _>>()?;
    let entry = NewEntry { body: value, attributes: head.attributes, links: links.into(), writer: head.writer };
    let condition = match head.when {
        When::Absent => PutIf::Absent,
        When::Always => PutIf::Always,
        When::Unchanged(revision) => PutIf::Unchanged(revision),
    };
    Ok(match tier.cache.put_at(&caller, &address, entry, condition).await? {
        PutOutcome::Stored(entry) => answer(EntryAnswer::Stored, &entry, entry.inline.clone()),
        PutOutcome::Kept(Some(entry)) => answer(|head| EntryAnswer::Kept(Some(head)), &entry, entry.inline.clone()),
        PutOutcome::Kept(None) => Frame::write(&EntryAnswer::Kept(None), [].iter(), b""),
        PutOutcome::Incomplete(missing) => {
            let missing: Vec<_> = missing.iter().map(ContentHash::to_key).collect();
            Frame::write(&EntryAnswer::Incomplete, missing.iter(), b"")
        }
    })
}

/// `POST entries/delete`
pub(crate) async fn delete(
    State(tier): State<Tier>,
    Asker(caller): Asker,
    Json(request): Json<EntryRequest>,
) -> Result<Told<DeleteAnswer>, Failure> {
    let address = address_of(caller.namespace(), &request.address)?;
    let deleted = tier.cache.delete_at(&caller, &address).await?;
    Ok(Told(DeleteAnswer { deleted }))
}

/// `POST entries/list`
pub(crate) async fn list(
    State(tier): State<Tier>,
    Asker(caller): Asker,
    Json(request): Json<ListRequest>,
) -> Result<Told<ListAnswer>, Failure> {
    let prefix = EntryPrefix {
        namespace: caller.namespace().clone(),
        scope: request.scope.as_deref().map(str::parse).transpose()?,
        door: request.door.as_deref().map(str::parse).transpose()?,
        prefix: request.prefix,
    };
    let limit = request.limit.min(PAGE_MAX) as usize;
    let page = tier.cache.list_at(&caller, &prefix, request.after.as_deref(), limit).await?;
    let line = |listed: &larder_base::Listed| ListedEntry {
        address: Address {
            scope: listed.address.scope.to_string(),
            door: listed.address.door.to_string(),
            key: listed.address.key.to_string(),
        },
        entry: head(&listed.entry, false),
    };
    Ok(Told(ListAnswer { entries: page.entries.iter().map(line).collect(), next: page.next }))
}

fn answer(say: impl FnOnce(EntryHead) -> EntryAnswer, entry: &Entry, value: Option<Bytes>) -> Vec<u8> {
    let links: Vec<[u8; HASH_LEN]> = entry.links.iter().map(ContentHash::to_key).collect();
    Frame::write(&say(head(entry, value.is_some())), links.iter(), &value.unwrap_or_default())
}

fn head(entry: &Entry, with_value: bool) -> EntryHead {
    EntryHead {
        blob: BlobName { hash: text_of(&entry.blob.hash), size: entry.blob.size },
        attributes: entry.attributes.clone(),
        writer: entry.writer.clone(),
        created_ms: entry.created.as_millis(),
        last_served_ms: entry.last_served.as_millis(),
        revision: entry.revision,
        with_value,
    }
}
