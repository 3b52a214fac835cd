use larder_base::chunk::Cut;
use larder_base::{Digest, HashFunction};
use larder_proto::manifest::{
    DIGEST_OF_RECIPE, DIGEST_PROPERTY, EncodedTree, HARDLINK_PROPERTY, Manifest, Recipe, Root, VERSION,
};
use larder_proto::reapi::{self, Directory, DirectoryNode, FileNode, NodeProperties, NodeProperty, Timestamp};
use prost::Message;

use super::{Summary, decode_manifest};

fn to_proto(digest: &Digest) -> reapi::Digest {
    reapi::Digest { hash: digest.hash.to_hex(), size_bytes: digest.size as i64 }
}

fn file(name: &str, content: &[u8], seconds: i64) -> FileNode {
    FileNode {
        name: name.into(),
        digest: Some(to_proto(&Digest::by(HashFunction::TREE, content))),
        is_executable: false,
        node_properties: Some(NodeProperties { mtime: Some(Timestamp { seconds, nanos: 0 }), ..Default::default() }),
    }
}

fn with_fact(mut file: FileNode, name: &str, value: &str) -> FileNode {
    let properties = file.node_properties.get_or_insert_default();
    properties.properties.push(NodeProperty { name: name.into(), value: value.into() });
    file
}

fn child(name: &str, directory: &Directory) -> DirectoryNode {
    DirectoryNode {
        name: name.into(),
        digest: Some(to_proto(&Digest::by(HashFunction::TREE, &directory.encode_to_vec()))),
    }
}

fn manifest(root: &Directory, children: &[&Directory], recipes: Vec<Recipe>) -> Manifest {
    let children = children.iter().map(|child| child.encode_to_vec().into()).collect();
    let tree = EncodedTree { root: root.encode_to_vec().into(), children };
    Manifest { version: VERSION, roots: vec![Root { name: "work".into(), tree: Some(tree) }], recipes }
}

/// `a`, `sub/b` and `sub/empty`, all last changed at `seconds`.
fn small(seconds: i64, b: &[u8]) -> Manifest {
    let sub = Directory { files: vec![file("b", b, seconds), file("empty", b"", seconds)], ..Default::default() };
    let root = Directory {
        files: vec![file("a", b"one", seconds)],
        directories: vec![child("sub", &sub)],
        ..Default::default()
    };
    manifest(&root, &[&sub], vec![])
}

fn refusal(manifest: &Manifest) -> String {
    Summary::of(manifest).unwrap_err().to_string()
}

#[test]
fn files_bytes_and_chunks_are_those_of_the_whole_tree() {
    let summary = Summary::of(&small(1, b"three")).unwrap();
    assert_eq!((summary.files, summary.bytes), (3, 8));
    assert_eq!(summary.chunks, [HashFunction::TREE.hash(b"three"), HashFunction::TREE.hash(b"one")]);
}

#[test]
fn times_do_not_change_the_content_and_all_else_does() {
    let content = |manifest: &Manifest| Summary::of(manifest).unwrap().content;
    assert_eq!(content(&small(1, b"x")), content(&small(2, b"x")));
    assert_ne!(content(&small(1, b"x")), content(&small(1, b"y")));
    let mut renamed = small(1, b"x");
    renamed.roots[0].name = "home".into();
    assert_ne!(content(&small(1, b"x")), content(&renamed));
    let mut without = file("a", b"x", 1);
    without.node_properties = None;
    let one = |file| content(&manifest(&Directory { files: vec![file], ..Default::default() }, &[], vec![]));
    assert_eq!(one(file("a", b"x", 1)), one(without));
    let mut executable = file("a", b"x", 1);
    executable.is_executable = true;
    assert_ne!(one(file("a", b"x", 1)), one(executable));
}

#[test]
fn a_file_with_several_names_counts_once() {
    let linked = |name| with_fact(file(name, b"12345", 1), HARDLINK_PROPERTY, "0");
    let root = Directory { files: vec![linked("a"), linked("b"), file("c", b"12345", 1)], ..Default::default() };
    let summary = Summary::of(&manifest(&root, &[], vec![])).unwrap();
    assert_eq!((summary.files, summary.bytes, summary.chunks.len()), (2, 10, 1));
}

#[test]
fn a_large_file_needs_the_chunks_of_its_recipe() {
    let pieces =
        [(HashFunction::TREE.hash(b"first"), Cut::TREE.max_len() as u32), (HashFunction::TREE.hash(b"second"), 7)];
    let recipe = Recipe {
        hashes: pieces.iter().flat_map(|(hash, _)| *hash.as_bytes()).collect::<Vec<_>>().into(),
        lengths: pieces.iter().map(|(_, length)| *length).collect(),
    };
    let mut named = b"larder recipe 1\n".to_vec();
    for (hash, length) in &pieces {
        named.extend_from_slice(hash.as_bytes());
        named.extend_from_slice(&length.to_le_bytes());
    }
    let size = Cut::TREE.max_len() as u64 + 7;
    let mut large = with_fact(file("large", b"", 1), DIGEST_PROPERTY, DIGEST_OF_RECIPE);
    large.digest = Some(to_proto(&Digest { hash: HashFunction::TREE.hash(&named), size }));
    let root = |file: &FileNode| Directory { files: vec![file.clone()], ..Default::default() };
    let summary = Summary::of(&manifest(&root(&large), &[], vec![recipe.clone()])).unwrap();
    assert_eq!((summary.bytes, summary.chunks), (size, vec![pieces[0].0, pieces[1].0]));

    assert!(refusal(&manifest(&root(&large), &[], vec![])).contains("names no recipe"));
    let mut lie = large.clone();
    lie.digest.as_mut().unwrap().size_bytes += 1;
    assert!(refusal(&manifest(&root(&lie), &[], vec![recipe.clone()])).contains("names no recipe"));
    let broken = Recipe { lengths: vec![7], ..recipe };
    assert!(refusal(&manifest(&root(&large), &[], vec![broken])).contains("do not fit together"));
}

#[test]
fn what_is_malformed_is_refused_by_name() {
    let sub = Directory { files: vec![file("b", b"x", 1)], ..Default::default() };
    let root = Directory { directories: vec![child("sub", &sub)], ..Default::default() };
    assert!(refusal(&manifest(&root, &[], vec![])).contains("directory \"sub\" is not in it"));
    // A parent behind its child is refused, and with it every cycle.
    let top = Directory { directories: vec![child("root", &root)], ..Default::default() };
    assert!(Summary::of(&manifest(&top, &[&root, &sub], vec![])).is_ok());
    assert!(refusal(&manifest(&top, &[&sub, &root], vec![])).contains("directory \"sub\""));

    let mut unnamed = file("f", b"x", 1);
    unnamed.digest = None;
    let of = |file| manifest(&Directory { files: vec![file], ..Default::default() }, &[], vec![]);
    assert!(refusal(&of(unnamed)).contains("\"f\" has no valid digest"));
    let mut negative = file("f", b"x", 1);
    negative.digest.as_mut().unwrap().size_bytes = -1;
    assert!(refusal(&of(negative)).contains("no valid digest"));
    let mut long = file("f", b"x", 1);
    long.digest.as_mut().unwrap().size_bytes = Cut::TREE.max_len() as i64 + 1;
    assert!(refusal(&of(long)).contains("has no recipe"));
    assert!(refusal(&of(with_fact(file("f", b"x", 1), DIGEST_PROPERTY, "md5"))).contains("unknown kind"));

    assert!(decode_manifest(b"\xff\xff").unwrap_err().to_string().contains("cannot be decoded"));
    let future = Manifest { version: VERSION + 1, ..Default::default() };
    assert!(decode_manifest(&future.encode_to_vec()).unwrap_err().to_string().contains("its version is 2"));
}

#[test]
fn a_tree_that_names_each_directory_twice_is_read_in_time_and_refused_when_it_is_too_much() {
    let mut levels = vec![Directory { files: vec![file("f", b"x", 1)], ..Default::default() }];
    for _ in 0..63 {
        let below = levels.last().unwrap();
        levels.push(Directory { directories: vec![child("a", below), child("b", below)], ..Default::default() });
    }
    let count = |levels: &[Directory]| {
        let (root, below) = levels.split_last().unwrap();
        Summary::of(&manifest(root, &below.iter().rev().collect::<Vec<_>>(), vec![])).map(|summary| summary.files)
    };
    assert_eq!(count(&levels).unwrap(), 1 << 63);
    let top = levels.last().unwrap();
    levels.push(Directory { directories: vec![child("a", top), child("b", top)], ..Default::default() });
    assert!(count(&levels).unwrap_err().to_string().contains("more bytes than can be counted"));
}
