//! What a save says to the server: the pipeline's questions and full segments, as calls of the ci door.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use larder_base::{ContentHash, Digest, Error, ErrorKind, Result};
use larder_remote::ci::{CiClient, Upload};
use larder_tree::{Memory, Segment, Sink};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::context::Context;
use crate::terminal::say;

/// The server's end of a save's pipeline. The pipeline has threads of its own, which wait here for the calls they make.
pub struct UploadSink {
    client: CiClient,
    upload: Upload,
    runtime: Handle,
    parts: AtomicU32,
    /// The numbers of parts that were sent and that the server was not told of yet.
    sent: Mutex<Vec<u32>>,
    moved: AtomicU64,
}

impl UploadSink {
    /// The sink of an upload that was begun.
    pub fn new(context: &Context, client: CiClient, upload: Upload) -> Self {
        let runtime = context.runtime.handle().clone();
        Self { client, upload, runtime, parts: AtomicU32::new(0), sent: Mutex::default(), moved: AtomicU64::new(0) }
    }

    /// The numbers of the parts that were sent.
    pub fn parts(&self) -> Vec<u32> {
        (1..=self.parts.load(Ordering::Relaxed)).collect()
    }

    /// Bytes that were sent.
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }
}

impl Sink for UploadSink {
    fn missing(&self, chunks: &[Digest]) -> Result<Vec<ContentHash>> {
        let hashes: Vec<ContentHash> = chunks.iter().map(|chunk| chunk.hash).collect();
        self.runtime.block_on(self.client.missing(&hashes))
    }

    fn send(&self, segment: Segment) -> Result<()> {
        let number = self.parts.fetch_add(1, Ordering::Relaxed) + 1;
        if number > self.upload.parts_max {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "send part",
                format!("the server takes at most {} parts of an upload", self.upload.parts_max),
            ));
        }
        let bytes = segment.body.len() as u64;
        let sent = std::mem::take(&mut *self.sent.lock());
        self.runtime.block_on(self.client.send_part(&self.upload.id, number, segment.body, &sent))?;
        self.sent.lock().push(number);
        self.moved.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

/// Where the memory of a tree is kept: one file for each folder that is saved or restored.
pub fn memory_path(context: &Context, root: &Path) -> Option<PathBuf> {
    let full = root.canonicalize().ok()?;
    let name = ContentHash::of(full.as_os_str().as_encoded_bytes()).to_hex();
    Some(context.cache_folder()?.join("trees").join(&name[..32]))
}

/// What is remembered of a tree; nothing, when there is no place to remember.
pub fn load_memory(context: &Context, root: &Path) -> Memory {
    memory_path(context, root).map_or_else(Memory::new, |path| Memory::load(&path))
}

/// Keeps what is remembered of a tree. A memory that cannot be kept costs time at the next save and nothing else.
pub fn store_memory(context: &Context, root: &Path, memory: &Memory) {
    let Some(path) = memory_path(context, root) else { return };
    let stored = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .map_err(|error| Error::new(ErrorKind::Failed, "make folder", path.display().to_string()).with_source(error))
        .and_then(|()| memory.store(&path));
    if let Err(error) = stored
        && !context.global.quiet
    {
        say!("the next save will read every file again: {}", crate::context::explain(&error));
    }
}
