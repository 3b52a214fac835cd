//! The interface, described for machines. `openapi.json` beside this crate's manifest is what a test compares it with.

use larder_proto::ci::ErrorAnswer;
use utoipa::{OpenApi, ToSchema};

use crate::{entries, explain, lookup, upload, usage};

/// The door's calls. Signed URLs are not among them: a client takes them as they are.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Larder: the ci door",
        version = "1",
        description = "Save and restore of directories, with direct transfer. Every answer that is not a success has \
                       the body ErrorAnswer.",
        license(name = "MIT OR Apache-2.0"),
    ),
    paths(
        lookup::lookup,
        lookup::missing,
        lookup::locate,
        upload::begin,
        upload::parts::one_part,
        upload::parts::several_parts,
        upload::finish,
        upload::status,
        upload::abort,
        entries::list,
        entries::purge_all,
        entries::show,
        entries::purge,
        explain::explain,
        usage::usage,
    ),
    components(schemas(ErrorAnswer))
)]
struct Interface;

/// BLAKE3 hashes of 32 raw bytes each, one after the other.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(crate) struct RawHashes(#[expect(dead_code, reason = "it stands for a body in the description only")] Vec<u8>);

/// The description as JSON.
pub fn openapi_json() -> String {
    let mut json = Interface::openapi().to_pretty_json().expect("the description is made of names and numbers");
    json.push('\n');
    json
}
