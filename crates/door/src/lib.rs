//! What a door is.
