//! The durable local store.
