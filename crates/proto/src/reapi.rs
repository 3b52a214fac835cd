//! The directory messages of the Remote Execution API, version 2 (`build/bazel/remote/execution/v2`).
//!
//! Fields and numbers are the protocol's; `docs/format-tree.md` says which of them a saved tree uses. A message is in
//! canonical form when its children are sorted by the bytes of their names and its properties by name.

use serde::{Deserialize, Serialize};

use crate::json::{self, is_unset};

/// The name of a blob.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Digest {
    /// Lower-case hexadecimal.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_unset")]
    pub hash: String,
    /// Bytes of the blob.
    #[prost(int64, tag = "2")]
    #[serde(with = "json::int64", skip_serializing_if = "is_unset", alias = "size_bytes")]
    pub size_bytes: i64,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Timestamp {
    /// Seconds since the Unix epoch; negative before it.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds after `seconds`, always counted forwards.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// A fact that the protocol has no field for.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodeProperty {
    /// Its name.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_unset")]
    pub name: String,
    /// Its value.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "is_unset")]
    pub value: String,
}

/// What a node has beside name and content.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodeProperties {
    /// Facts without a field of their own, sorted by name.
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "is_unset")]
    pub properties: Vec<NodeProperty>,
    /// When the content was last changed.
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "is_unset")]
    pub mtime: Option<Timestamp>,
    /// Permission bits (`google.protobuf.UInt32Value`).
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "is_unset", alias = "unix_mode")]
    pub unix_mode: Option<u32>,
}

/// A file.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct FileNode {
    /// One path component.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Names the content.
    #[prost(message, optional, tag = "2")]
    pub digest: Option<Digest>,
    /// Whether the owner may execute it.
    #[prost(bool, tag = "4")]
    pub is_executable: bool,
    /// What else is known.
    #[prost(message, optional, tag = "6")]
    pub node_properties: Option<NodeProperties>,
}

/// A directory inside another.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct DirectoryNode {
    /// One path component.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Names the encoded [`Directory`].
    #[prost(message, optional, tag = "2")]
    pub digest: Option<Digest>,
}

/// A symbolic link.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct SymlinkNode {
    /// One path component.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it holds, as it is.
    #[prost(string, tag = "2")]
    pub target: String,
    /// What else is known.
    #[prost(message, optional, tag = "4")]
    pub node_properties: Option<NodeProperties>,
}

/// The children of a directory, each name once.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Directory {
    /// Files, sorted by name.
    #[prost(message, repeated, tag = "1")]
    pub files: Vec<FileNode>,
    /// Directories, sorted by name.
    #[prost(message, repeated, tag = "2")]
    pub directories: Vec<DirectoryNode>,
    /// Symbolic links, sorted by name.
    #[prost(message, repeated, tag = "3")]
    pub symlinks: Vec<SymlinkNode>,
    /// What else is known of the directory itself.
    #[prost(message, optional, tag = "5")]
    pub node_properties: Option<NodeProperties>,
}

/// A directory and all below it in one message.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Tree {
    /// The top.
    #[prost(message, optional, tag = "1")]
    pub root: Option<Directory>,
    /// Every directory below, each once however often it occurs, parents before children.
    #[prost(message, repeated, tag = "2")]
    pub children: Vec<Directory>,
}

#[cfg(test)]
mod tests;
