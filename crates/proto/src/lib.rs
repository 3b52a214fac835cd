//! Messages that cross the wire.
