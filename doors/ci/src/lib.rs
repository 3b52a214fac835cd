//! Save and restore of directories with direct transfer.
