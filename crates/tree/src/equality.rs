//! When two saved trees hold the same: equal names, contents, modes and links, whatever the times of files.
//!
//! A build that was repeated leaves the same bytes at a later time. Saving it again should say `unchanged`, so equality
//! of content is asked without times.

use std::collections::HashMap;

use larder_base::{ContentHash, Error, Hasher, Result};
use larder_proto::manifest::Manifest;
use larder_proto::reapi::{Directory, NodeProperties};
use prost::Message as _;

/// What two manifests agree on exactly when their trees hold the same.
///
/// # Errors
/// [`larder_base::ErrorKind::Invalid`] for a manifest whose directories do not decode or do not come before their children.
pub fn content_hash(manifest: &Manifest) -> Result<ContentHash> {
    let mut all = Hasher::new();
    all.update(b"larder tree content 1\0");
    for root in &manifest.roots {
        let tree = root.tree.as_ref().ok_or_else(|| invalid("a root has no tree"))?;
        // By the directory's own digest: the digest of what is left of it without times.
        let mut timeless: HashMap<String, String> = HashMap::new();
        for child in tree.children.iter().rev() {
            let hash = without_times(child, &timeless)?;
            timeless.insert(ContentHash::of(child).to_hex(), hash.to_hex());
        }
        let top = without_times(&tree.root, &timeless)?;
        all.update(&(root.name.len() as u64).to_le_bytes());
        all.update(root.name.as_bytes());
        all.update(top.as_bytes());
    }
    Ok(all.finish().hash)
}

fn without_times(encoded: &[u8], timeless: &HashMap<String, String>) -> Result<ContentHash> {
    let mut directory = Directory::decode(encoded).map_err(|_| invalid("a directory does not decode"))?;
    for child in &mut directory.directories {
        let digest = child.digest.as_mut().ok_or_else(|| invalid("a directory has no digest"))?;
        digest.hash = timeless
            .get(&digest.hash)
            .ok_or_else(|| invalid("a directory stands before one that it is in, or is not there"))?
            .clone();
        // The encoded size varies with the times.
        digest.size_bytes = 0;
    }
    let properties = directory.files.iter_mut().map(|file| &mut file.node_properties);
    let properties = properties.chain(directory.symlinks.iter_mut().map(|link| &mut link.node_properties));
    for properties in properties.chain([&mut directory.node_properties]) {
        forget_time(properties);
    }
    Ok(ContentHash::of(&directory.encode_to_vec()))
}

fn forget_time(properties: &mut Option<NodeProperties>) {
    if let Some(known) = properties {
        known.mtime = None;
        if *known == NodeProperties::default() {
            *properties = None;
        }
    }
}

fn invalid(message: &str) -> Error {
    Error::invalid("read saved tree", message)
}

#[cfg(test)]
mod tests;
