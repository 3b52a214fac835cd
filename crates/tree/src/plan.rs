//! A manifest, checked: everything that could make a restore go wrong by what it says is refused by name before the disk
//! is touched.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use larder_base::{ContentHash, Digest, Error, ErrorKind, HashFunction, Result};
use larder_proto::manifest::{
    DIGEST_OF_RECIPE, DIGEST_PROPERTY, EncodedTree, HARDLINK_PROPERTY, Manifest, Recipe, VERSION,
};
use larder_proto::reapi;
use prost::Message as _;

use crate::content::{CUT, Content, Piece, recipe_hash};
use crate::handles::{DirId, DirTable, ROOT};
use crate::memory::PathKey;
use crate::names;
use crate::stat::FileTime;

/// What a tree may be at most.
#[derive(Clone, Copy, Debug)]
pub struct PlanLimits {
    /// Bytes of all files; a file with several names counts once.
    pub bytes: u64,
    /// Files, links and directories.
    pub entries: u64,
    /// How deep directories may lie in each other.
    pub depth: usize,
}

impl Default for PlanLimits {
    /// 1 TiB in 10 million entries, 512 deep.
    fn default() -> Self {
        Self { bytes: 1 << 40, entries: 10_000_000, depth: 512 }
    }
}

/// What a restore will make. It is also how a server learns what a manifest needs: [`Plan::chunks`].
#[derive(Debug)]
pub struct Plan {
    pub(crate) roots: Vec<PlannedRoot>,
    files: u64,
    bytes: u64,
}

/// One directory to be restored. Directories are numbered depth first; files and links follow their order.
#[derive(Debug)]
pub(crate) struct PlannedRoot {
    pub(crate) name: String,
    pub(crate) table: DirTable,
    pub(crate) dirs: Vec<PlannedDir>,
    pub(crate) files: Vec<PlannedFile>,
    pub(crate) links: Vec<PlannedLink>,
}

#[derive(Debug)]
pub(crate) struct PlannedDir {
    pub(crate) key: PathKey,
    pub(crate) mode: Option<u32>,
    pub(crate) mtime: Option<FileTime>,
    pub(crate) files: Range<usize>,
    pub(crate) links: Range<usize>,
}

#[derive(Debug)]
pub(crate) struct PlannedFile {
    pub(crate) dir: DirId,
    pub(crate) name: Box<str>,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) mtime: Option<FileTime>,
    pub(crate) content: Content,
    /// The file that this is another name of; it comes before.
    pub(crate) same_as: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct PlannedLink {
    pub(crate) name: Box<str>,
    pub(crate) target: Box<str>,
}

impl Plan {
    /// Reads and checks the bytes of a manifest.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is not allowed, [`ErrorKind::TooLarge`] for what is over a limit; the message
    /// names the path.
    pub fn read(manifest: Bytes, limits: &PlanLimits) -> Result<Self> {
        let manifest = Manifest::decode(manifest)
            .map_err(|error| refuse("the manifest", "is not what a save wrote").with_source(error))?;
        Self::check(&manifest, limits)
    }

    /// Checks a manifest.
    ///
    /// # Errors
    /// As [`Plan::read`].
    pub fn check(manifest: &Manifest, limits: &PlanLimits) -> Result<Self> {
        if manifest.version != VERSION {
            let problem = format!("has version {}, and only {VERSION} is known", manifest.version);
            return Err(refuse("the manifest", &problem).with_hint("a newer Larder can read it"));
        }
        let mut recipes = HashMap::with_capacity(manifest.recipes.len());
        for recipe in &manifest.recipes {
            let pieces = pieces_of(recipe)?;
            recipes.insert(recipe_hash(&pieces), pieces);
        }
        let mut check = Check { limits, recipes, files: 0, bytes: 0, entries: 0 };
        let mut names = HashSet::new();
        let mut roots = Vec::with_capacity(manifest.roots.len());
        for root in &manifest.roots {
            if !names.insert(&root.name) {
                return Err(refuse(&root.name, "two roots have this name"));
            }
            let tree = root.tree.as_ref().ok_or_else(|| refuse(&root.name, "the root has no tree"))?;
            roots.push(check.root(&root.name, tree)?);
        }
        Ok(Self { roots, files: check.files, bytes: check.bytes })
    }

    /// How many files there are, each name counted.
    pub fn files(&self) -> u64 {
        self.files
    }

    /// Bytes of all files; a file with several names counts once.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The names of the roots.
    pub fn roots(&self) -> impl Iterator<Item = &str> {
        self.roots.iter().map(|root| root.name.as_str())
    }

    /// Every chunk that the tree is made of, once, in the order in which files need them.
    pub fn chunks(&self) -> Vec<Digest> {
        let mut seen = HashSet::new();
        let files = self.roots.iter().flat_map(|root| &root.files);
        let pieces = files.flat_map(|file| file.content.pieces(file.size));
        let digests = pieces.map(|(_, piece)| Digest { hash: piece.hash, size: piece.length.into() });
        digests.filter(|digest| seen.insert(digest.hash)).collect()
    }
}

struct Check<'a> {
    limits: &'a PlanLimits,
    recipes: HashMap<ContentHash, Arc<[Piece]>>,
    files: u64,
    bytes: u64,
    entries: u64,
}

/// A directory to be looked into.
struct Waiting {
    encoded: Bytes,
    parent: DirId,
    name: String,
    shown: String,
    depth: usize,
}

impl Check<'_> {
    fn root(&mut self, name: &str, tree: &EncodedTree) -> Result<PlannedRoot> {
        let by_digest: HashMap<Digest, &Bytes> =
            tree.children.iter().map(|encoded| (Digest::by(HashFunction::TREE, encoded), encoded)).collect();
        let (dirs, files, links) = (Vec::new(), Vec::new(), Vec::new());
        let mut root = PlannedRoot { name: name.to_owned(), table: DirTable::new(), dirs, files, links };
        let mut groups = HashMap::new();
        let top =
            Waiting { encoded: tree.root.clone(), parent: ROOT, name: String::new(), shown: String::new(), depth: 0 };
        let mut waiting = vec![top];
        while let Some(at) = waiting.pop() {
            let directory = reapi::Directory::decode(at.encoded.clone())
                .map_err(|error| refuse(&at.shown, "its directory message cannot be read").with_source(error))?;
            self.names(&at.shown, &directory)?;
            let id = if root.dirs.is_empty() { ROOT } else { root.table.push(at.parent, &at.name) };
            let key = if id == ROOT { PathKey::ROOT } else { root.dirs[at.parent as usize].key.child(&at.name) };
            let (first_file, first_link) = (root.files.len(), root.links.len());
            for node in &directory.files {
                let file = self.file(&names::join(&at.shown, &node.name), node, id, &root.files, &mut groups)?;
                root.files.push(file);
            }
            for node in &directory.symlinks {
                if let Some(problem) = names::target_problem(at.depth, &node.target) {
                    return Err(refuse(&names::join(&at.shown, &node.name), problem));
                }
                root.links.push(PlannedLink { name: node.name.as_str().into(), target: node.target.as_str().into() });
            }
            let (mode, mtime) = self.properties(&at.shown, directory.node_properties.as_ref())?;
            root.dirs.push(PlannedDir {
                key,
                mode,
                mtime,
                files: first_file..root.files.len(),
                links: first_link..root.links.len(),
            });
            // The last name first, because they are taken from the end.
            for node in directory.directories.into_iter().rev() {
                let shown = names::join(&at.shown, &node.name);
                if at.depth >= self.limits.depth {
                    return Err(too_large(&shown, &format!("lies more than {} directories deep", self.limits.depth)));
                }
                let digest = digest_of(&shown, node.digest.as_ref())?;
                let encoded = by_digest.get(&digest).ok_or_else(|| refuse(&shown, "the directory is not described"))?;
                waiting.push(Waiting {
                    encoded: (*encoded).clone(),
                    parent: id,
                    name: node.name,
                    shown,
                    depth: at.depth + 1,
                });
            }
        }
        Ok(root)
    }

    /// Checks the names of a directory's children, and counts them.
    fn names(&mut self, shown: &str, directory: &reapi::Directory) -> Result<()> {
        let names = (directory.files.iter().map(|node| &node.name))
            .chain(directory.directories.iter().map(|node| &node.name))
            .chain(directory.symlinks.iter().map(|node| &node.name));
        let mut seen = HashSet::new();
        for name in names {
            let path = || names::join(shown, &format!("{:.300}", name.escape_debug().to_string()));
            if let Some(problem) = names::name_problem(name) {
                return Err(refuse(&path(), problem));
            }
            if !seen.insert(name) {
                return Err(refuse(&path(), "two entries have this name"));
            }
        }
        self.entries += seen.len() as u64;
        if self.entries > self.limits.entries {
            return Err(too_large(shown, &format!("the tree has more than {} entries", self.limits.entries)));
        }
        Ok(())
    }

    fn file(
        &mut self,
        shown: &str,
        node: &reapi::FileNode,
        dir: DirId,
        before: &[PlannedFile],
        groups: &mut HashMap<u32, usize>,
    ) -> Result<PlannedFile> {
        let digest = digest_of(shown, node.digest.as_ref())?;
        let properties = node.node_properties.as_ref();
        let (mode, mtime) = self.properties(shown, properties)?;
        let content = self.content(shown, &digest, fact(properties, DIGEST_PROPERTY))?;
        let mut file = PlannedFile {
            dir,
            name: node.name.as_str().into(),
            size: digest.size,
            mode: mode.unwrap_or(if node.is_executable { 0o755 } else { 0o644 }),
            mtime,
            content,
            same_as: None,
        };
        if let Some(group) = fact(properties, HARDLINK_PROPERTY) {
            let group = group.parse().map_err(|_| refuse(shown, "its hard-link group is no number"))?;
            let first = *groups.entry(group).or_insert(before.len());
            file.same_as = before.get(first).map(|_| first);
        }
        self.files += 1;
        if let Some(first) = file.same_as.map(|first| &before[first]) {
            let is_same = (first.size, first.mode, first.mtime) == (file.size, file.mode, file.mtime);
            if !is_same || first.content != file.content {
                return Err(refuse(shown, "it differs from another name of the same hard-linked file"));
            }
            return Ok(file);
        }
        self.bytes = self.bytes.saturating_add(file.size);
        if self.bytes > self.limits.bytes {
            return Err(too_large(
                shown,
                &format!("with it the tree is larger than {} B, the most that it may be", self.limits.bytes),
            ));
        }
        Ok(file)
    }

    fn content(&self, shown: &str, digest: &Digest, kind: Option<&str>) -> Result<Content> {
        let is_large = digest.size > CUT.max_len() as u64;
        match kind {
            None if digest.size == 0 && *digest == Digest::by(HashFunction::TREE, b"") => Ok(Content::Empty),
            None if digest.size == 0 => Err(refuse(shown, "its digest is not that of an empty file")),
            None if is_large => Err(refuse(shown, "it is larger than one chunk and has no recipe")),
            None => Ok(Content::One(digest.hash)),
            Some(DIGEST_OF_RECIPE) if is_large => {
                let pieces = self.recipes.get(&digest.hash).ok_or_else(|| refuse(shown, "its recipe is not there"))?;
                let total: u64 = pieces.iter().map(|piece| u64::from(piece.length)).sum();
                if total != digest.size {
                    return Err(refuse(shown, &format!("its recipe makes {total} bytes and not {}", digest.size)));
                }
                Ok(Content::Cut(pieces.clone()))
            }
            Some(DIGEST_OF_RECIPE) => Err(refuse(shown, "it has a recipe although it is not larger than one chunk")),
            Some(other) => Err(refuse(shown, &format!("its digest is of a kind that is not known: {other:.40}"))),
        }
    }

    fn properties(
        &self,
        shown: &str,
        properties: Option<&reapi::NodeProperties>,
    ) -> Result<(Option<u32>, Option<FileTime>)> {
        let Some(properties) = properties else { return Ok((None, None)) };
        let mtime = match &properties.mtime {
            None => None,
            Some(time) => {
                Some(FileTime::from_proto(time).ok_or_else(|| refuse(shown, "its modification time is not a time"))?)
            }
        };
        // Set-id and sticky bits, and the kind of file that some writers include, are dropped.
        Ok((properties.unix_mode.map(|mode| mode & 0o777), mtime))
    }
}

fn pieces_of(recipe: &Recipe) -> Result<Arc<[Piece]>> {
    let hashes = recipe.hashes.chunks_exact(32);
    if !hashes.remainder().is_empty() || hashes.len() != recipe.lengths.len() {
        return Err(refuse("a recipe", "its hashes and lengths do not match"));
    }
    let pieces = hashes.zip(&recipe.lengths).map(|(hash, length)| {
        let hash = ContentHash::new(HashFunction::TREE, hash.try_into().expect("each is 32 bytes"));
        Piece { hash, length: *length }
    });
    let pieces: Arc<[Piece]> = pieces.collect();
    if pieces.iter().any(|piece| piece.length == 0 || piece.length as usize > CUT.max_len()) {
        return Err(refuse("a recipe", "a chunk of it is empty or longer than a chunk can be"));
    }
    Ok(pieces)
}

fn digest_of(shown: &str, digest: Option<&reapi::Digest>) -> Result<Digest> {
    let problem = || refuse(shown, "its digest is not a BLAKE3 digest");
    let digest = digest.ok_or_else(problem)?;
    let size = u64::try_from(digest.size_bytes).map_err(|_| problem())?;
    Ok(Digest { hash: ContentHash::from_hex(HashFunction::TREE, &digest.hash).map_err(|_| problem())?, size })
}

fn fact<'a>(properties: Option<&'a reapi::NodeProperties>, name: &str) -> Option<&'a str> {
    let found = properties?.properties.iter().find(|property| property.name == name)?;
    Some(&found.value)
}

fn refuse(shown: &str, problem: &str) -> Error {
    Error::invalid("check saved tree", describe(shown, problem))
}

fn too_large(shown: &str, problem: &str) -> Error {
    Error::new(ErrorKind::TooLarge, "check saved tree", describe(shown, problem))
}

fn describe(shown: &str, problem: &str) -> String {
    let shown = if shown.is_empty() { "the top directory" } else { shown };
    format!("{shown}: {problem}")
}

#[cfg(test)]
mod tests;
