//! What can be said of a manifest without its files: what it needs, how much it is, and what it holds but for times.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use larder_base::{ContentHash, Digest, Error, HashFunction, Hasher, Result};
use larder_proto::manifest::{
    DIGEST_OF_RECIPE, DIGEST_PROPERTY, EncodedTree, HARDLINK_PROPERTY, Manifest, Recipe, Root, VERSION,
};
use larder_proto::reapi::{self, Directory, FileNode, NodeProperties};
use prost::Message as _;

use crate::content::CUT;

/// What a manifest says of itself. Whoever made the manifest, this holds: it is well formed, and every file's chunks are
/// named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What two saves of the same content agree on: the hash of the manifest with the modification times left out. Each
    /// directory is hashed with its own times removed and with its subdirectories named by their hashes of this kind.
    pub content: ContentHash,
    /// How many files there are; one with several names counts once.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Every chunk that the files need, each once, in the order they are first named. Empty files need none.
    pub chunks: Vec<ContentHash>,
}

/// Reads a manifest's bytes.
///
/// # Errors
/// [`larder_base::ErrorKind::Invalid`] when it is not a manifest of a known version.
pub fn decode_manifest(bytes: &[u8]) -> Result<Manifest> {
    let manifest = Manifest::decode(bytes).map_err(|error| malformed("it cannot be decoded").with_source(error))?;
    if manifest.version != VERSION {
        return Err(malformed(format!("its version is {}, and only version {VERSION} is known", manifest.version)));
    }
    Ok(manifest)
}

impl Summary {
    /// The summary of a manifest.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Invalid`], saying where it is malformed.
    pub fn of(manifest: &Manifest) -> Result<Self> {
        let mut reading = Reading { recipes: recipes(manifest)?, chunks: Vec::new(), named: HashSet::new() };
        let mut total = Amount::default();
        let mut roots = Vec::with_capacity(manifest.roots.len());
        for root in &manifest.roots {
            let tree = root.tree.as_ref().ok_or_else(|| malformed(format!("root {:?} has no tree", root.name)))?;
            let (timeless, amount) = reading.tree(tree)?;
            total = total.and(amount)?;
            roots.push(Root { name: root.name.clone(), tree: Some(EncodedTree { root: timeless, children: vec![] }) });
        }
        let timeless = Manifest { version: VERSION, roots, recipes: vec![] };
        let content = HashFunction::TREE.hash(&timeless.encode_to_vec());
        Ok(Self { content, files: total.files, bytes: total.bytes, chunks: reading.chunks })
    }
}

#[derive(Clone, Copy, Default)]
struct Amount {
    files: u64,
    bytes: u64,
}

impl Amount {
    fn and(self, other: Self) -> Result<Self> {
        let sum =
            || Some(Self { files: self.files.checked_add(other.files)?, bytes: self.bytes.checked_add(other.bytes)? });
        sum().ok_or_else(|| malformed("its files have more bytes than can be counted"))
    }
}

/// A directory that has been read, with all below it.
struct ReadDirectory {
    timeless: ContentHash,
    amount: Amount,
}

struct Reading {
    recipes: HashMap<ContentHash, RecipeChunks>,
    chunks: Vec<ContentHash>,
    named: HashSet<ContentHash>,
}

struct RecipeChunks {
    hashes: Vec<ContentHash>,
    size: u64,
}

impl Reading {
    /// The timeless encoding of a tree's root, and how much the tree holds.
    fn tree(&mut self, tree: &EncodedTree) -> Result<(Bytes, Amount)> {
        let mut links = HashSet::new();
        let mut below: HashMap<Digest, ReadDirectory> = HashMap::new();
        // Parents come before children: from the last to the first, what a directory names was read before it. So the
        // work grows with the manifest's size, however often one directory is named, and nothing can name itself.
        for bytes in tree.children.iter().rev() {
            let (timeless, amount) = self.directory(bytes, &below, &mut links)?;
            let read = ReadDirectory { timeless: HashFunction::TREE.hash(&timeless.encode_to_vec()), amount };
            below.insert(Digest::by(HashFunction::TREE, bytes), read);
        }
        let (timeless, amount) = self.directory(&tree.root, &below, &mut links)?;
        Ok((timeless.encode_to_vec().into(), amount))
    }

    fn directory(
        &mut self,
        bytes: &[u8],
        below: &HashMap<Digest, ReadDirectory>,
        links: &mut HashSet<String>,
    ) -> Result<(Directory, Amount)> {
        let mut directory =
            Directory::decode(bytes).map_err(|error| malformed("a directory cannot be decoded").with_source(error))?;
        let mut total = Amount::default();
        forget_time(&mut directory.node_properties);
        for file in &mut directory.files {
            let size = self.file(file)?;
            // The first name of a hard-linked file counts, the others are the same file.
            if hard_link(file).is_none_or(|group| links.insert(group.to_owned())) {
                total = total.and(Amount { files: 1, bytes: size })?;
            }
            forget_time(&mut file.node_properties);
        }
        for child in &mut directory.directories {
            let named = digest_of(child.digest.as_ref(), &child.name)?;
            let read = below.get(&named).ok_or_else(|| {
                malformed(format!("directory {:?} is not in it, or not behind its parent", child.name))
            })?;
            total = total.and(read.amount)?;
            child.digest = Some(reapi::Digest { hash: read.timeless.to_hex(), size_bytes: 0 });
        }
        for link in &mut directory.symlinks {
            forget_time(&mut link.node_properties);
        }
        Ok((directory, total))
    }

    /// Notes what a file needs; says how many bytes it has.
    fn file(&mut self, file: &FileNode) -> Result<u64> {
        let digest = digest_of(file.digest.as_ref(), &file.name)?;
        let by_recipe = property(file, DIGEST_PROPERTY).map(|value| value == DIGEST_OF_RECIPE);
        match by_recipe {
            Some(false) => return Err(malformed(format!("file {:?} has a digest of an unknown kind", file.name))),
            Some(true) => {
                let recipe = self.recipes.get(&digest.hash);
                let recipe = recipe.filter(|recipe| recipe.size == digest.size);
                let recipe = recipe.ok_or_else(|| malformed(format!("file {:?} names no recipe of it", file.name)))?;
                let new = recipe.hashes.iter().filter(|hash| self.named.insert(**hash));
                self.chunks.extend(new);
            }
            None if digest.size > CUT.max_len() as u64 => {
                return Err(malformed(format!("file {:?} is larger than a chunk and has no recipe", file.name)));
            }
            None if digest.size > 0 && self.named.insert(digest.hash) => self.chunks.push(digest.hash),
            None => {}
        }
        Ok(digest.size)
    }
}

fn recipes(manifest: &Manifest) -> Result<HashMap<ContentHash, RecipeChunks>> {
    manifest.recipes.iter().map(recipe).collect()
}

fn recipe(recipe: &Recipe) -> Result<(ContentHash, RecipeChunks)> {
    let (hashes, rest) = recipe.hashes.as_chunks::<32>();
    let lengths_allowed = recipe.lengths.iter().all(|length| (1..=CUT.max_len()).contains(&(*length as usize)));
    if !rest.is_empty() || hashes.len() != recipe.lengths.len() || !lengths_allowed {
        return Err(malformed("a recipe's hashes and lengths do not fit together"));
    }
    let mut hasher = Hasher::new(HashFunction::TREE);
    hasher.update(RECIPE_PREFIX);
    for (hash, length) in hashes.iter().zip(&recipe.lengths) {
        hasher.update(hash);
        hasher.update(&length.to_le_bytes());
    }
    let size = recipe.lengths.iter().map(|length| u64::from(*length)).sum();
    let hashes = hashes.iter().map(|hash| ContentHash::new(HashFunction::TREE, *hash)).collect();
    Ok((hasher.finish().hash, RecipeChunks { hashes, size }))
}

/// What the canonical encoding of a recipe begins with, so that no chunk's hash can pass for a recipe's.
const RECIPE_PREFIX: &[u8] = b"larder recipe 1\n";

fn digest_of(digest: Option<&reapi::Digest>, name: &str) -> Result<Digest> {
    let read = || {
        let digest = digest?;
        Some(Digest {
            hash: ContentHash::from_hex(HashFunction::TREE, &digest.hash).ok()?,
            size: u64::try_from(digest.size_bytes).ok()?,
        })
    };
    read().ok_or_else(|| malformed(format!("{name:?} has no valid digest")))
}

fn hard_link(file: &FileNode) -> Option<&str> {
    property(file, HARDLINK_PROPERTY)
}

fn property<'a>(file: &'a FileNode, name: &str) -> Option<&'a str> {
    let properties = &file.node_properties.as_ref()?.properties;
    properties.iter().find(|property| property.name == name).map(|property| property.value.as_str())
}

/// Removes the time; properties that held nothing else are as if there were none.
fn forget_time(properties: &mut Option<NodeProperties>) {
    if let Some(kept) = properties {
        kept.mtime = None;
        if *kept == NodeProperties::default() {
            *properties = None;
        }
    }
}

fn malformed(message: impl Into<String>) -> Error {
    Error::invalid("read manifest", message)
}

#[cfg(test)]
mod tests;
