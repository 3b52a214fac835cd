//! Writing down what was found: equal trees give equal bytes (`docs/format-tree.md`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use larder_base::chunk::Cutter;
use larder_base::{ContentHash, Digest, HashFunction};
use larder_proto::manifest::{
    DIGEST_OF_RECIPE, DIGEST_PROPERTY, EncodedTree, HARDLINK_PROPERTY, Manifest, Recipe, Root, VERSION,
};
use larder_proto::reapi;
use prost::Message as _;

use crate::content::{Content, Piece};
use crate::handles::{DirId, ROOT};
use crate::stat::FileTime;
use crate::survey::{FileState, FoundRoot};

/// A manifest as it is kept: a blob like any other.
#[derive(Clone, Debug)]
pub struct EncodedManifest {
    /// Names the blob; equal trees have equal digests.
    pub digest: Digest,
    /// The whole blob.
    pub bytes: Bytes,
    /// The chunks of the blob in order, with their names.
    pub chunks: Vec<(Digest, Bytes)>,
}

type Recipes = BTreeMap<ContentHash, Arc<[Piece]>>;

impl EncodedManifest {
    /// Encodes and cuts a manifest.
    pub fn of(manifest: &Manifest) -> Self {
        let bytes = Bytes::from(manifest.encode_to_vec());
        let mut cutter = Cutter::new();
        cutter.push(&bytes);
        let mut chunks = Vec::new();
        while let Some(chunk) = cutter.next_chunk() {
            chunks.push((Digest::by(HashFunction::TREE, &chunk), chunk));
        }
        chunks.extend(cutter.finish().into_iter().map(|chunk| (Digest::by(HashFunction::TREE, &chunk), chunk)));
        Self { digest: Digest::by(HashFunction::TREE, &bytes), bytes, chunks }
    }
}

/// The manifest of what was found, without what was left out.
pub(crate) fn describe(roots: &[FoundRoot]) -> Manifest {
    let mut recipes = Recipes::new();
    let roots = roots
        .iter()
        .map(|root| Root { name: root.name.clone(), tree: Some(describe_root(root, &mut recipes)) })
        .collect();
    let recipes = recipes
        .into_values()
        .map(|pieces| Recipe {
            hashes: pieces.iter().flat_map(|piece| piece.hash.as_bytes()).copied().collect::<Vec<u8>>().into(),
            lengths: pieces.iter().map(|piece| piece.length).collect(),
        })
        .collect();
    Manifest { version: VERSION, roots, recipes }
}

fn describe_root(root: &FoundRoot, recipes: &mut Recipes) -> EncodedTree {
    let groups = hard_link_groups(root);
    let mut described: Vec<Option<(Bytes, Digest)>> = vec![None; root.dirs.len()];
    // Children have larger numbers than their parent: from the last to the first, each is there when it is needed.
    for (number, found) in root.dirs.iter().enumerate().rev() {
        let mut directory = reapi::Directory::default();
        for &child in &found.children {
            if let Some((_, digest)) = &described[child as usize] {
                let name = root.table.name(child).to_owned();
                directory.directories.push(reapi::DirectoryNode { name, digest: Some(to_proto(digest)) });
            }
        }
        for file in found.files.clone() {
            directory.files.extend(describe_file(root, file, &groups, recipes));
        }
        for link in &root.links[found.links.clone()] {
            let (name, target) = (link.name.to_string(), link.target.to_string());
            directory.symlinks.push(reapi::SymlinkNode { name, target, node_properties: None });
        }
        let is_empty = directory == reapi::Directory::default();
        // A directory on the way to something that turned out not to be there was not asked for.
        if is_empty && found.mtime.is_none() && number != ROOT as usize {
            continue;
        }
        directory.node_properties = properties(Vec::new(), found.mtime, found.mode);
        let bytes = Bytes::from(directory.encode_to_vec());
        let digest = Digest::by(HashFunction::TREE, &bytes);
        described[number] = Some((bytes, digest));
    }
    let children = parents_first(root, &described);
    let (top, _) = described.swap_remove(ROOT as usize).expect("the root is always described");
    EncodedTree { root: top, children }
}

fn describe_file(
    root: &FoundRoot,
    file: usize,
    groups: &HashMap<usize, usize>,
    recipes: &mut Recipes,
) -> Option<reapi::FileNode> {
    // All names of a file share its state; what the first name's reading saw holds for each.
    let (first, content) = root.content(file)?;
    let size = first.stat.size;
    let digest = content.digest(size);
    let mut facts = Vec::new();
    if let Content::Cut(pieces) = content {
        facts.push(fact(DIGEST_PROPERTY, DIGEST_OF_RECIPE.to_owned()));
        recipes.entry(digest.hash).or_insert_with(|| pieces.clone());
    }
    if let Some(group) = groups.get(&first_name(root, file)) {
        facts.push(fact(HARDLINK_PROPERTY, group.to_string()));
    }
    Some(reapi::FileNode {
        name: root.files[file].name.to_string(),
        digest: Some(to_proto(&digest)),
        is_executable: first.stat.mode & 0o100 != 0,
        node_properties: properties(facts, Some(first.stat.mtime), Some(first.stat.mode)),
    })
}

/// The number of the group of each file that has more names than one here, by its first name.
fn hard_link_groups(root: &FoundRoot) -> HashMap<usize, usize> {
    let firsts: BTreeSet<usize> = (0..root.files.len())
        .filter(|file| matches!(root.files[*file].state, FileState::SameAs(_)) && root.content(*file).is_some())
        .map(|file| first_name(root, file))
        .collect();
    firsts.into_iter().enumerate().map(|(group, first)| (first, group)).collect()
}

fn first_name(root: &FoundRoot, file: usize) -> usize {
    match root.files[file].state {
        FileState::SameAs(first) => first,
        _ => file,
    }
}

/// Every directory below the root once, each before those it names: the reverse of the order in which a walk leaves them.
fn parents_first(root: &FoundRoot, described: &[Option<(Bytes, Digest)>]) -> Vec<Bytes> {
    let mut seen = BTreeSet::new();
    let mut left = Vec::new();
    let mut path: Vec<(DirId, usize)> = vec![(ROOT, 0)];
    while let Some((at, next)) = path.last_mut() {
        if let Some(&child) = root.dirs[*at as usize].children.get(*next) {
            *next += 1;
            if described[child as usize].as_ref().is_some_and(|(_, digest)| seen.insert(*digest)) {
                path.push((child, 0));
            }
        } else {
            left.push(*at);
            path.pop();
        }
    }
    let bytes = |id: &DirId| described[*id as usize].as_ref().map(|(bytes, _)| bytes.clone());
    left.iter().rev().skip(1).filter_map(bytes).collect()
}

fn fact(name: &str, value: String) -> reapi::NodeProperty {
    reapi::NodeProperty { name: name.to_owned(), value }
}

fn properties(
    properties: Vec<reapi::NodeProperty>,
    mtime: Option<FileTime>,
    unix_mode: Option<u32>,
) -> Option<reapi::NodeProperties> {
    let mtime = mtime.map(FileTime::to_proto);
    let is_empty = properties.is_empty() && mtime.is_none() && unix_mode.is_none();
    (!is_empty).then_some(reapi::NodeProperties { properties, mtime, unix_mode })
}

fn to_proto(digest: &Digest) -> reapi::Digest {
    reapi::Digest { hash: digest.hash.to_hex(), size_bytes: digest.size.cast_signed() }
}
