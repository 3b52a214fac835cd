//! The result of an action in the Remote Execution API, version 2 (`build/bazel/remote/execution/v2`).
//!
//! Fields and numbers are the protocol's. A result names blobs; what it names must be present wherever it is served.
//!
//! The messages have the JSON form that protocol buffers define, too: moon speaks it. Unknown fields are refused, as the
//! definition has it: a client whose results would lose something should hear of it. `auxiliaryMetadata`, messages of
//! types that only their makers know, has no JSON form here and is left out.

use serde::{Deserialize, Serialize};

use crate::json::{self, is_unset};
use crate::reapi::{Digest, Directory, NodeProperties, Timestamp, Tree};

/// A file that an action made.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OutputFile {
    /// Relative to the working directory of the action.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_unset")]
    pub path: String,
    /// Names the content.
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "is_unset")]
    pub digest: Option<Digest>,
    /// Whether the owner may execute it.
    #[prost(bool, tag = "4")]
    #[serde(skip_serializing_if = "is_unset", alias = "is_executable")]
    pub is_executable: bool,
    /// The content itself, where it was asked for and is small.
    #[prost(bytes = "vec", tag = "5")]
    #[serde(with = "json::bytes", skip_serializing_if = "is_unset")]
    pub contents: Vec<u8>,
    /// What else is known.
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "is_unset", alias = "node_properties")]
    pub node_properties: Option<NodeProperties>,
}

/// A directory that an action made.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OutputDirectory {
    /// Relative to the working directory of the action.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_unset")]
    pub path: String,
    /// Names the encoded [`Tree`].
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "is_unset", alias = "tree_digest")]
    pub tree_digest: Option<Digest>,
    /// Whether the tree's children are in topological order.
    #[prost(bool, tag = "4")]
    #[serde(skip_serializing_if = "is_unset", alias = "is_topologically_sorted")]
    pub is_topologically_sorted: bool,
    /// Names the encoded [`Directory`] at the top, where directories were uploaded one by one.
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "is_unset", alias = "root_directory_digest")]
    pub root_directory_digest: Option<Digest>,
}

/// A symbolic link that an action made.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OutputSymlink {
    /// Relative to the working directory of the action.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_unset")]
    pub path: String,
    /// What it holds, as it is.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "is_unset")]
    pub target: String,
    /// What else is known.
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "is_unset", alias = "node_properties")]
    pub node_properties: Option<NodeProperties>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Duration {
    /// Seconds, with the sign of the whole.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds, with the same sign.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Any {
    /// Names the type of the message.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The encoded message.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// How and when an action was run.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExecutedActionMetadata {
    /// Who ran it.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_unset")]
    pub worker: String,
    /// When it was added to the queue.
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "is_unset", alias = "queued_timestamp")]
    pub queued_timestamp: Option<Timestamp>,
    /// When the worker received it.
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "is_unset", alias = "worker_start_timestamp")]
    pub worker_start_timestamp: Option<Timestamp>,
    /// When the worker was done, uploads included.
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "is_unset", alias = "worker_completed_timestamp")]
    pub worker_completed_timestamp: Option<Timestamp>,
    /// When the worker began to fetch its inputs.
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "is_unset", alias = "input_fetch_start_timestamp")]
    pub input_fetch_start_timestamp: Option<Timestamp>,
    /// When the inputs were there.
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "is_unset", alias = "input_fetch_completed_timestamp")]
    pub input_fetch_completed_timestamp: Option<Timestamp>,
    /// When its command was started.
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "is_unset", alias = "execution_start_timestamp")]
    pub execution_start_timestamp: Option<Timestamp>,
    /// When its command ended.
    #[prost(message, optional, tag = "8")]
    #[serde(skip_serializing_if = "is_unset", alias = "execution_completed_timestamp")]
    pub execution_completed_timestamp: Option<Timestamp>,
    /// When the worker began to upload its outputs.
    #[prost(message, optional, tag = "9")]
    #[serde(skip_serializing_if = "is_unset", alias = "output_upload_start_timestamp")]
    pub output_upload_start_timestamp: Option<Timestamp>,
    /// When the outputs were uploaded.
    #[prost(message, optional, tag = "10")]
    #[serde(skip_serializing_if = "is_unset", alias = "output_upload_completed_timestamp")]
    pub output_upload_completed_timestamp: Option<Timestamp>,
    /// What a worker adds in messages of its own.
    #[prost(message, repeated, tag = "11")]
    #[serde(skip)]
    pub auxiliary_metadata: Vec<Any>,
    /// How long the command ran on the worker's own clock.
    #[prost(message, optional, tag = "12")]
    #[serde(skip_serializing_if = "is_unset", alias = "virtual_execution_duration")]
    pub virtual_execution_duration: Option<Duration>,
}

/// What an action made.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ActionResult {
    /// The files.
    #[prost(message, repeated, tag = "2")]
    #[serde(skip_serializing_if = "is_unset", alias = "output_files")]
    pub output_files: Vec<OutputFile>,
    /// The directories.
    #[prost(message, repeated, tag = "3")]
    #[serde(skip_serializing_if = "is_unset", alias = "output_directories")]
    pub output_directories: Vec<OutputDirectory>,
    /// How the command ended.
    #[prost(int32, tag = "4")]
    #[serde(with = "json::int32", skip_serializing_if = "is_unset", alias = "exit_code")]
    pub exit_code: i32,
    /// What it wrote to standard output, where that is small.
    #[prost(bytes = "vec", tag = "5")]
    #[serde(with = "json::bytes", skip_serializing_if = "is_unset", alias = "stdout_raw")]
    pub stdout_raw: Vec<u8>,
    /// Names what it wrote to standard output.
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "is_unset", alias = "stdout_digest")]
    pub stdout_digest: Option<Digest>,
    /// What it wrote to standard error, where that is small.
    #[prost(bytes = "vec", tag = "7")]
    #[serde(with = "json::bytes", skip_serializing_if = "is_unset", alias = "stderr_raw")]
    pub stderr_raw: Vec<u8>,
    /// Names what it wrote to standard error.
    #[prost(message, optional, tag = "8")]
    #[serde(skip_serializing_if = "is_unset", alias = "stderr_digest")]
    pub stderr_digest: Option<Digest>,
    /// How and when it was run.
    #[prost(message, optional, tag = "9")]
    #[serde(skip_serializing_if = "is_unset", alias = "execution_metadata")]
    pub execution_metadata: Option<ExecutedActionMetadata>,
    /// Links to files, as older clients tell them.
    #[prost(message, repeated, tag = "10")]
    #[serde(skip_serializing_if = "is_unset", alias = "output_file_symlinks")]
    pub output_file_symlinks: Vec<OutputSymlink>,
    /// Links to directories, as older clients tell them.
    #[prost(message, repeated, tag = "11")]
    #[serde(skip_serializing_if = "is_unset", alias = "output_directory_symlinks")]
    pub output_directory_symlinks: Vec<OutputSymlink>,
    /// The links.
    #[prost(message, repeated, tag = "12")]
    #[serde(skip_serializing_if = "is_unset", alias = "output_symlinks")]
    pub output_symlinks: Vec<OutputSymlink>,
}

impl ActionResult {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// Where the text departs from it.
    pub fn from_json(text: &[u8]) -> serde_json::Result<Self> {
        // Derived readers take a list for a message, too: its fields in order.
        if text.trim_ascii_start().first() == Some(&b'[') {
            return Err(serde::de::Error::custom("a list is not a message"));
        }
        serde_json::from_slice(text)
    }

    /// Writes the JSON form.
    ///
    /// # Errors
    /// When a moment lies outside the years that RFC 3339 can write.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// Every blob it names itself; what its directories name in turn is in [`Tree::digests`] and [`Directory::digests`].
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        let files = self.output_files.iter().filter_map(|file| file.digest.as_ref());
        let directories = self
            .output_directories
            .iter()
            .flat_map(|directory| [directory.tree_digest.as_ref(), directory.root_directory_digest.as_ref()])
            .flatten();
        let streams = [self.stdout_digest.as_ref(), self.stderr_digest.as_ref()].into_iter().flatten();
        files.chain(directories).chain(streams)
    }
}

impl Tree {
    /// The contents of every file in it. Its directories are in the message itself and need not be blobs.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.root.iter().chain(&self.children).flat_map(|directory| &directory.files).filter_map(|f| f.digest.as_ref())
    }
}

impl Directory {
    /// The contents of its files, and the directories below it.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        let files = self.files.iter().filter_map(|file| file.digest.as_ref());
        files.chain(self.directories.iter().filter_map(|directory| directory.digest.as_ref()))
    }
}

#[cfg(test)]
mod tests;
