//! A saved tree to send.

use bytes::Bytes;
use larder_base::chunk::Cutter;
use larder_base::{Digest, HashFunction};
use larder_proto::manifest::{EncodedTree, Manifest, Root, VERSION};
use larder_proto::reapi::{self, Directory, FileNode, NodeProperties, Timestamp};
use larder_testkit::segment;
use larder_tree::Summary;
use prost::Message;
use serde_json::{Value, json};

/// A directory of files, as a client would save it.
pub(super) struct Sample {
    pub(super) contents: Vec<Bytes>,
    pub(super) manifest: Bytes,
    pub(super) manifest_chunks: Vec<Bytes>,
    pub(super) summary: Summary,
}

impl Sample {
    /// Files with these contents, all last changed at one time.
    pub(super) fn of(contents: &[&str]) -> Self {
        Self::at(contents, 1)
    }

    /// The same, last changed `seconds` after the epoch.
    pub(super) fn at(contents: &[&str], seconds: i64) -> Self {
        let contents: Vec<_> = contents.iter().map(|content| Bytes::copy_from_slice(content.as_bytes())).collect();
        let mtime = Some(Timestamp { seconds, nanos: 0 });
        let file = |(number, content): (usize, &Bytes)| FileNode {
            name: format!("{number:06}"),
            digest: Some(reapi::Digest {
                hash: HashFunction::TREE.hash(content).to_hex(),
                size_bytes: content.len() as i64,
            }),
            node_properties: Some(NodeProperties { mtime, ..Default::default() }),
            ..Default::default()
        };
        let files = contents.iter().enumerate().map(file).collect();
        let directory = Directory { files, ..Default::default() };
        Self::with_directory(contents, &directory)
    }

    pub(super) fn with_directory(contents: Vec<Bytes>, directory: &Directory) -> Self {
        let tree = EncodedTree { root: directory.encode_to_vec().into(), children: vec![] };
        let manifest =
            Manifest { version: VERSION, roots: vec![Root { name: "work".into(), tree: Some(tree) }], recipes: vec![] };
        let summary = Summary::of(&manifest).unwrap();
        let manifest = Bytes::from(manifest.encode_to_vec());
        let mut cutter = Cutter::new();
        cutter.push(&manifest);
        let mut manifest_chunks: Vec<_> = std::iter::from_fn(|| cutter.next_chunk()).collect();
        manifest_chunks.extend(cutter.finish());
        Self { contents, manifest, manifest_chunks, summary }
    }

    /// Every chunk of it: of the files, then of the manifest.
    pub(super) fn chunks(&self) -> Vec<Bytes> {
        self.contents.iter().filter(|content| !content.is_empty()).chain(&self.manifest_chunks).cloned().collect()
    }

    /// One part with everything.
    pub(super) fn part(&self) -> Bytes {
        segment::body(&self.chunks())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.summary.bytes
    }

    /// The body of `begin`.
    pub(super) fn begin(&self, key: &str) -> Value {
        json!({ "key": key, "bytes": self.bytes(), "files": self.contents.len() })
    }

    /// The body of `finish`.
    pub(super) fn finish(&self, parts: &[u32], wait_ms: u64) -> Value {
        let digest = Digest::by(HashFunction::TREE, &self.manifest);
        let chunk = |chunk: &Bytes| json!({ "hash": HashFunction::TREE.hash(chunk).to_hex(), "size": chunk.len() });
        json!({
            "manifest": {
                "hash": digest.hash.to_hex(),
                "size": digest.size,
                "chunks": self.manifest_chunks.iter().map(chunk).collect::<Vec<_>>(),
            },
            "parts": parts,
            "content": self.summary.content.to_hex(),
            "files": self.contents.len(),
            "bytes": self.bytes(),
            "wait_ms": wait_ms,
        })
    }
}
