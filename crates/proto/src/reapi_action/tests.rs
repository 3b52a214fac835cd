use prost::Message;

use super::*;
use crate::reapi::{DirectoryNode, FileNode};

fn digest(hash: &str) -> Option<Digest> {
    Some(Digest { hash: hash.into(), size_bytes: 1 })
}

/// A result as Bazel 4.2.3 puts it for `genrule(outs = ["out.txt"])`, written out by hand from the wire.
#[test]
fn a_result_has_the_bytes_that_bazel_sends() {
    let wire = [
        &[0x12, 13, 0x0a, 5][..],
        b"o.txt",
        &[0x12, 4, 0x0a, 2],
        b"aa",
        &[0x32, 4, 0x0a, 2],
        b"bb",
        &[0x42, 4, 0x0a, 2],
        b"cc",
    ]
    .concat();
    let named = |hash: &str| Some(Digest { hash: hash.into(), size_bytes: 0 });
    let result = ActionResult {
        output_files: vec![OutputFile { path: "o.txt".into(), digest: named("aa"), ..OutputFile::default() }],
        stdout_digest: named("bb"),
        stderr_digest: named("cc"),
        ..ActionResult::default()
    };
    assert_eq!(ActionResult::decode(wire.as_slice()).unwrap(), result);
    assert_eq!(result.encode_to_vec(), wire);
}

#[test]
fn every_blob_that_a_result_names_is_listed() {
    let result = ActionResult {
        output_files: vec![OutputFile { digest: digest("file"), ..OutputFile::default() }, OutputFile::default()],
        output_directories: vec![OutputDirectory {
            tree_digest: digest("tree"),
            root_directory_digest: digest("root"),
            ..OutputDirectory::default()
        }],
        stdout_digest: digest("out"),
        stderr_digest: digest("err"),
        ..ActionResult::default()
    };
    let names: Vec<_> = result.digests().map(|digest| digest.hash.as_str()).collect();
    assert_eq!(names, ["file", "tree", "root", "out", "err"]);
}

#[test]
fn a_tree_needs_its_files_and_a_directory_its_children_too() {
    let directory = |file: &str, child: &str| Directory {
        files: vec![FileNode { digest: digest(file), ..FileNode::default() }],
        directories: vec![DirectoryNode { digest: digest(child), ..DirectoryNode::default() }],
        ..Directory::default()
    };
    let tree = Tree { root: Some(directory("a", "x")), children: vec![directory("b", "y"), directory("c", "z")] };
    assert_eq!(tree.digests().map(|digest| digest.hash.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let names: Vec<_> = tree.children[0].digests().map(|digest| digest.hash.clone()).collect();
    assert_eq!(names, ["b", "y"]);
}
