use larder_base::{ContentHash, Digest};
use larder_proto::manifest::{EncodedTree, Manifest, Root, VERSION};
use larder_proto::reapi::{self, Directory, DirectoryNode, FileNode, NodeProperties};
use prost::Message as _;
use prost::bytes::Bytes;

use super::content_hash;

fn to_proto(digest: &Digest) -> Option<reapi::Digest> {
    Some(reapi::Digest { hash: digest.hash.to_hex(), size_bytes: digest.size.cast_signed() })
}

fn properties(seconds: i64, mode: u32) -> Option<NodeProperties> {
    let mtime = Some(reapi::Timestamp { seconds, nanos: 0 });
    Some(NodeProperties { properties: Vec::new(), mtime, unix_mode: Some(mode) })
}

/// A tree of `inner/file`, with times of `seconds`.
fn manifest(seconds: i64, mode: u32, content: &[u8]) -> Manifest {
    let file = FileNode {
        name: "file".into(),
        digest: to_proto(&Digest::of(content)),
        is_executable: false,
        node_properties: properties(seconds, mode),
    };
    let inner = Directory { files: vec![file], node_properties: properties(seconds, 0o755), ..Directory::default() };
    let inner = Bytes::from(inner.encode_to_vec());
    let node = DirectoryNode { name: "inner".into(), digest: to_proto(&Digest::of(&inner)) };
    let top = Directory { directories: vec![node], ..Directory::default() };
    let tree = EncodedTree { root: Bytes::from(top.encode_to_vec()), children: vec![inner] };
    Manifest { version: VERSION, roots: vec![Root { name: "work".into(), tree: Some(tree) }], recipes: Vec::new() }
}

fn hash(manifest: &Manifest) -> ContentHash {
    content_hash(manifest).unwrap()
}

#[test]
fn times_do_not_count_and_everything_else_does() {
    let tree = manifest(1, 0o644, b"content");
    assert_eq!(hash(&tree), hash(&manifest(2_000_000_000, 0o644, b"content")));
    assert_ne!(hash(&tree), hash(&manifest(1, 0o755, b"content")));
    assert_ne!(hash(&tree), hash(&manifest(1, 0o644, b"another")));
    let mut renamed = tree.clone();
    renamed.roots[0].name = "home".into();
    assert_ne!(hash(&tree), hash(&renamed));
}

#[test]
fn a_manifest_that_lacks_a_directory_is_refused() {
    let mut broken = manifest(1, 0o644, b"content");
    broken.roots[0].tree.as_mut().unwrap().children.clear();
    assert!(content_hash(&broken).is_err());
    let mut broken = manifest(1, 0o644, b"content");
    broken.roots[0].tree.as_mut().unwrap().root = Bytes::from_static(b"\xff\xff");
    assert!(content_hash(&broken).is_err());
}
