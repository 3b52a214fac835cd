use larder_proto::manifest::Root;
use larder_proto::reapi::{Directory, DirectoryNode, FileNode, NodeProperties, NodeProperty, SymlinkNode, Timestamp};

use super::*;
use larder_base::chunk::Cut;

fn proto(digest: Digest) -> Option<reapi::Digest> {
    Some(reapi::Digest { hash: digest.hash.to_hex(), size_bytes: digest.size as i64 })
}

fn file(name: &str, content: &[u8]) -> FileNode {
    FileNode { name: name.into(), digest: proto(Digest::by(HashFunction::TREE, content)), ..Default::default() }
}

fn with(mut file: FileNode, facts: &[(&str, &str)]) -> FileNode {
    let properties = facts.iter().map(|(name, value)| NodeProperty { name: (*name).into(), value: (*value).into() });
    file.node_properties.get_or_insert_default().properties = properties.collect();
    file
}

fn link(name: &str, target: &str) -> SymlinkNode {
    SymlinkNode { name: name.into(), target: target.into(), node_properties: None }
}

fn files(files: Vec<FileNode>) -> Directory {
    Directory { files, ..Default::default() }
}

/// A manifest of one root that holds `top` and what it names of `below`.
fn manifest(top: &Directory, below: &[Directory]) -> Manifest {
    let tree = EncodedTree {
        root: top.encode_to_vec().into(),
        children: below.iter().map(|directory| directory.encode_to_vec().into()).collect(),
    };
    Manifest { version: VERSION, roots: vec![Root { name: "work".into(), tree: Some(tree) }], recipes: Vec::new() }
}

fn inside(name: &str, directory: &Directory) -> Directory {
    let digest = proto(Digest::by(HashFunction::TREE, &directory.encode_to_vec()));
    Directory { directories: vec![DirectoryNode { name: name.into(), digest }], ..Default::default() }
}

#[track_caller]
fn refused(manifest: &Manifest, parts: &[&str]) {
    let error = Plan::check(manifest, &PlanLimits::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    for part in parts {
        assert!(error.message().contains(part), "{error}: lacks {part:?}");
    }
}

fn large(lengths: &[u32]) -> (Recipe, Digest) {
    let hashes: Vec<u8> =
        (0..lengths.len()).flat_map(|number| *HashFunction::TREE.hash(&[number as u8]).as_bytes()).collect();
    let recipe = Recipe { hashes: hashes.into(), lengths: lengths.to_vec() };
    let size = lengths.iter().map(|length| u64::from(*length)).sum();
    let hash = pieces_of(&recipe).map_or(HashFunction::TREE.hash(b""), |pieces| recipe_hash(&pieces));
    (recipe, Digest { hash, size })
}

fn large_file(name: &str, digest: Digest) -> FileNode {
    with(FileNode { name: name.into(), digest: proto(digest), ..Default::default() }, &[("larder.digest", "recipe")])
}

#[test]
fn a_tree_is_numbered_depth_first_with_all_it_holds() {
    let deep = files(vec![file("f", b"deep")]);
    let mut top = inside("d", &deep);
    top.files = vec![file("a", b"a"), file("b", b"")];
    top.symlinks = vec![link("l", "d/f")];
    let plan = Plan::check(&manifest(&top, &[deep]), &PlanLimits::default()).unwrap();
    let root = &plan.roots[0];
    let names: Vec<String> = root.files.iter().map(|file| root.table.path_in(file.dir, &file.name)).collect();
    assert_eq!(names, ["a", "b", "d/f"]);
    assert_eq!((plan.files(), plan.bytes(), root.links.len()), (3, 5, 1));
    assert_eq!(
        plan.chunks(),
        [Digest::by(HashFunction::TREE, b"a"), Digest::by(HashFunction::TREE, b"deep")],
        "an empty file needs no chunk"
    );
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in ["", ".", "..", "a/b", "../x", "a\0", ".larder~3"] {
        refused(&manifest(&files(vec![file(name, b"x")]), &[]), &["name"]);
        let top = Directory { symlinks: vec![link(name, "x")], ..Default::default() };
        refused(&manifest(&top, &[]), &["name"]);
        let below = files(vec![]);
        refused(&manifest(&inside(name, &below), &[below]), &["name"]);
    }
}

#[test]
fn a_name_that_occurs_twice_is_refused() {
    let below = files(vec![]);
    let mut both = inside("same", &below);
    both.symlinks = vec![link("same", "x")];
    refused(&manifest(&both, &[below]), &["same", "two entries"]);
    refused(&manifest(&files(vec![file("f", b"1"), file("f", b"1")]), &[]), &["f: two entries"]);
    let mut roots = manifest(&files(vec![]), &[]);
    roots.roots.push(roots.roots[0].clone());
    refused(&roots, &["work", "two roots"]);
}

#[test]
fn links_that_lead_out_are_refused_by_name() {
    for target in ["/etc/passwd", "../../x", "a/../../x", ""] {
        let below = Directory { symlinks: vec![link("l", target)], ..Default::default() };
        refused(&manifest(&inside("d", &below), &[below]), &["d/l"]);
    }
}

#[test]
fn digests_that_do_not_resolve_are_refused_by_name() {
    let below = files(vec![file("f", b"x")]);
    refused(&manifest(&inside("d", &below), &[]), &["d: the directory is not described"]);
    let mut wrong = inside("d", &below);
    wrong.directories[0].digest.as_mut().unwrap().size_bytes += 1;
    refused(&manifest(&wrong, &[below]), &["d: the directory is not described"]);
    for digest in [None, Some(reapi::Digest { hash: "ab".into(), size_bytes: 1 })] {
        refused(&manifest(&files(vec![FileNode { digest, ..file("f", b"x") }]), &[]), &["f", "not a BLAKE3"]);
    }
    let mut negative = file("f", b"x");
    negative.digest.as_mut().unwrap().size_bytes = -1;
    refused(&manifest(&files(vec![negative]), &[]), &["f", "not a BLAKE3"]);
    let mut empty = file("f", b"x");
    empty.digest.as_mut().unwrap().size_bytes = 0;
    refused(&manifest(&files(vec![empty]), &[]), &["f", "not that of an empty file"]);
}

#[test]
fn a_directory_cannot_hold_itself() {
    // A directory's digest is of its bytes, so one that names itself does not resolve; a long chain meets the limit.
    let mut chain = vec![files(vec![])];
    for _ in 0..20 {
        chain.push(inside("d", chain.last().unwrap()));
    }
    let top = chain.pop().unwrap();
    let manifest = manifest(&top, &chain);
    assert!(Plan::check(&manifest, &PlanLimits { depth: 20, ..Default::default() }).is_ok());
    let error = Plan::check(&manifest, &PlanLimits { depth: 19, ..Default::default() }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.message().contains("deep"), "{error}");
}

#[test]
fn a_small_manifest_of_a_huge_tree_is_refused() {
    // Each level names the one below ten times: 10^40 directories in some kilobytes.
    let mut levels = vec![files(vec![file("f", b"x")])];
    for _ in 0..40 {
        let directories = (0..10).flat_map(|number| inside(&number.to_string(), levels.last().unwrap()).directories);
        levels.push(Directory { directories: directories.collect(), ..Default::default() });
    }
    let top = levels.pop().unwrap();
    let limits = PlanLimits { entries: 10_000, ..Default::default() };
    let error = Plan::check(&manifest(&top, &levels), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[test]
fn more_bytes_than_the_limit_are_refused_at_the_file_that_is_too_much() {
    let top = files(vec![file("a", &[0; 60]), file("b", &[1; 60])]);
    let limits = PlanLimits { bytes: 119, ..Default::default() };
    let error = Plan::check(&manifest(&top, &[]), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.message().starts_with("b:"), "{error}");
    assert!(Plan::check(&manifest(&top, &[]), &PlanLimits { bytes: 120, ..Default::default() }).is_ok());
}

#[test]
fn recipes_must_fit_their_files() {
    let max = Cut::TREE.max_len() as u32;
    let (recipe, digest) = large(&[max, 1]);
    let plan = |files_of: Vec<FileNode>, recipes: Vec<Recipe>| Manifest { recipes, ..manifest(&files(files_of), &[]) };
    assert!(Plan::check(&plan(vec![large_file("f", digest)], vec![recipe.clone()]), &PlanLimits::default()).is_ok());
    refused(&plan(vec![large_file("f", digest)], vec![]), &["f", "recipe is not there"]);
    let longer = Digest { size: digest.size + 1, ..digest };
    refused(&plan(vec![large_file("f", longer)], vec![recipe.clone()]), &["f", "its recipe makes"]);
    let plain = FileNode { name: "f".into(), digest: proto(digest), ..Default::default() };
    refused(&plan(vec![plain], vec![recipe.clone()]), &["f", "has no recipe"]);
    let (small, small_digest) = large(&[5, 5]);
    refused(&plan(vec![large_file("f", small_digest)], vec![small]), &["f", "not larger than one chunk"]);
    refused(&plan(vec![with(file("f", b"x"), &[("larder.digest", "rot13")])], vec![]), &["f", "rot13"]);
    for lengths in [vec![max + 1, 1], vec![0, max, 1]] {
        refused(&plan(vec![], vec![large(&lengths).0]), &["recipe", "empty or longer"]);
    }
    let torn = Recipe { hashes: recipe.hashes.slice(..40), lengths: recipe.lengths };
    refused(&plan(vec![], vec![torn]), &["recipe", "do not match"]);
}

#[test]
fn names_of_one_file_must_agree() {
    let named = |name: &str, content: &[u8]| with(file(name, content), &[("larder.hardlink", "0")]);
    let good = files(vec![named("a", b"xy"), named("b", b"xy")]);
    let plan = Plan::check(&manifest(&good, &[]), &PlanLimits::default()).unwrap();
    assert_eq!(plan.roots[0].files[1].same_as, Some(0));
    assert_eq!(plan.bytes(), 2);
    refused(&manifest(&files(vec![named("a", b"xy"), named("b", b"yx")]), &[]), &["b", "hard-linked"]);
    let mut executable = named("b", b"xy");
    executable.is_executable = true;
    refused(&manifest(&files(vec![named("a", b"xy"), executable]), &[]), &["b", "hard-linked"]);
    refused(&manifest(&files(vec![with(file("a", b"x"), &[("larder.hardlink", "x")])]), &[]), &["a", "no number"]);
}

#[test]
fn other_versions_and_other_bytes_are_refused() {
    refused(&Manifest { version: 2, ..manifest(&files(vec![]), &[]) }, &["version 2"]);
    let error = Plan::read(Bytes::from_static(b"\xff\xff\xff"), &PlanLimits::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let mut broken = manifest(&files(vec![]), &[]);
    broken.roots[0].tree.as_mut().unwrap().root = Bytes::from_static(b"\xff");
    refused(&broken, &["the top directory"]);
    broken.roots[0].tree = None;
    refused(&broken, &["work", "no tree"]);
}

#[test]
fn set_id_bits_are_dropped_and_impossible_times_refused() {
    let node = |mode, nanos| {
        let mtime = Some(Timestamp { seconds: 1, nanos });
        let properties = NodeProperties { properties: vec![], mtime, unix_mode: Some(mode) };
        files(vec![FileNode { node_properties: Some(properties), ..file("f", b"x") }])
    };
    let plan = Plan::check(&manifest(&node(0o106_755, 5), &[]), &PlanLimits::default()).unwrap();
    assert_eq!(plan.roots[0].files[0].mode, 0o755);
    for nanos in [-1, 1_000_000_000] {
        refused(&manifest(&node(0o644, nanos), &[]), &["f", "not a time"]);
    }
}
