//! Directories to blobs and back.
