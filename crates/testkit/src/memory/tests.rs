use std::sync::Arc;

use bytes::Bytes;
use larder_base::{Blobs as _, ByteRange, ContentHash, Namespace, collect, stream_of};

use super::Memory;
use crate::clock::FakeClock;

#[tokio::test]
async fn a_clone_is_a_handle_on_the_same_tier() {
    let memory = Memory::new(Arc::new(FakeClock::default()));
    let namespace: Namespace = "ns".parse().unwrap();
    let hash = ContentHash::of(b"content");
    memory.clone().put(&namespace, Some(&hash), Some(7), stream_of(Bytes::from_static(b"content"))).await.unwrap();
    let blob = memory.get(&namespace, &hash, ByteRange::ALL).await.unwrap().unwrap();
    assert_eq!(collect(blob.body, 7).await.unwrap(), "content");
}

#[tokio::test]
async fn a_forgotten_blob_is_absent_in_that_namespace_only() {
    let memory = Memory::new(Arc::new(FakeClock::default()));
    let (one, other): (Namespace, Namespace) = ("one".parse().unwrap(), "other".parse().unwrap());
    let hash = ContentHash::of(b"content");
    for namespace in [&one, &other] {
        memory.put(namespace, Some(&hash), None, stream_of(Bytes::from_static(b"content"))).await.unwrap();
    }
    assert!(memory.forget(&one, &hash));
    assert!(!memory.forget(&one, &hash));
    assert!(memory.get(&one, &hash, ByteRange::ALL).await.unwrap().is_none());
    assert!(memory.get(&other, &hash, ByteRange::ALL).await.unwrap().is_some());
}
