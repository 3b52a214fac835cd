//! What a door is: a name, a section of the configuration, and a function from these to an HTTP router.
//!
//! A door is one protocol. This crate has what doors share: reading their section, moving bodies, ranges, credentials,
//! and the golden tests. It knows no protocol by name, and neither listeners nor TLS.

mod body;
mod credential;
mod door;
pub mod golden;
mod nearest;
mod section;
mod size;
mod table;

pub use body::{RangeHeader, body_of, content_length, range_of, stream_of_body};
pub use credential::credential_of;
pub use door::{Door, Exchange, Helper, HelperContext};
pub use nearest::nearest;
pub use section::Section;
pub use size::ByteCount;
pub use table::{Origins, read_table};
