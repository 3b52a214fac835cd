//! What the namespace holds, and may hold.

use axum::extract::State;
use larder_proto::ci::{UsageAnswer, WriterUsage};

use crate::Ci;
use crate::failure::Failure;
use crate::request::Asker;

/// What the entries of the namespace take, as last measured, and its quotas.
#[utoipa::path(get, path = "/ci/v1/{namespace}/usage", params(("namespace" = String, Path)),
    responses((status = 200, body = UsageAnswer)))]
pub(crate) async fn usage(State(ci): State<Ci>, Asker(caller): Asker) -> Result<axum::Json<UsageAnswer>, Failure> {
    let quotas = ci.cache().quotas();
    let limits = quotas.limits(caller.namespace());
    let answer = UsageAnswer { quota: limits.namespace, owner_quota: limits.owner, ..UsageAnswer::default() };
    let Some(usage) = quotas.usage().remove(caller.namespace()) else { return Ok(axum::Json(answer)) };
    let may_see = |writer: &str| caller.is_admin() || writer == &**caller.principal();
    let writers = usage.owners.into_iter().filter(|(writer, _)| may_see(writer));
    Ok(axum::Json(UsageAnswer {
        entries: usage.entries,
        logical_bytes: usage.logical_bytes,
        stored_bytes: usage.stored_bytes,
        measured_ms: Some(usage.measured.as_millis()),
        writers: writers
            .map(|(writer, usage)| WriterUsage {
                writer,
                entries: usage.entries,
                logical_bytes: usage.logical_bytes,
                stored_bytes: usage.stored_bytes,
            })
            .collect(),
        ..answer
    }))
}
