//! What a door sees of storage.
