//! The pages about the server itself: `/healthz`, `/status`, `/metrics` and `/gc`.
//!
//! They name namespaces, so with credentials configured all but the first are for operators.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use larder_base::{BoxFuture, Clock, Error, ErrorKind, Result, Timestamp};
use larder_cache::{Cache, Node};
use larder_door::credential_of;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use serde_json::{Value, json};

/// What the pages tell of.
#[derive(Clone)]
pub struct About {
    /// What has been counted, and the jobs.
    pub cache: Cache,
    /// The store.
    pub store: Arc<dyn Kept>,
    /// The node, if this is one.
    pub node: Option<Node>,
    /// When the server started.
    pub started: Timestamp,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The doors that are open.
    pub doors: Arc<[&'static str]>,
}

impl About {
    /// What the node is doing; null where there is none.
    fn node_status(&self) -> Value {
        self.node.as_ref().map_or(Value::Null, |node| json!(node.status()))
    }
}

/// What an operator sees and does of what is kept.
pub trait Kept: Send + Sync {
    /// The numbers, as a flat JSON object.
    fn status(&self) -> Value;

    /// Changes the quota if one is given, brings the data under it, and tells what was done.
    fn collect_garbage(&self, quota: Option<u64>) -> BoxFuture<'_, Result<Value>>;
}

/// The routes of the pages.
pub fn pages(about: About) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/gc", post(collect_garbage))
        .route_layer(middleware::from_fn_with_state(about.clone(), for_operators))
        .route("/healthz", get(async || "ok\n"))
        .with_state(about)
}

async fn for_operators(State(about): State<About>, request: Request, next: Next) -> Response {
    match about.cache.check_operator(credential_of(request.headers()).as_ref()) {
        Ok(()) => next.run(request).await,
        Err(denied) => refuse(&denied),
    }
}

fn refuse(error: &Error) -> Response {
    let status = match error.kind() {
        ErrorKind::Denied => StatusCode::FORBIDDEN,
        ErrorKind::Invalid | ErrorKind::TooLarge => StatusCode::BAD_REQUEST,
        ErrorKind::Full | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Corrupt | ErrorKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, format!("{}\n", crate::context::explain(error))).into_response()
}

#[derive(Deserialize)]
struct Collection {
    quota: Option<u64>,
}

async fn collect_garbage(State(about): State<About>, Query(collection): Query<Collection>) -> Response {
    match about.store.collect_garbage(collection.quota).await {
        Ok(done) => Json(done).into_response(),
        Err(error) => refuse(&error),
    }
}

async fn status(State(about): State<About>) -> Json<Value> {
    let jobs: Vec<Value> = about
        .cache
        .jobs()
        .reports()
        .into_iter()
        .map(|job| {
            json!({
                "name": job.name,
                "state": job.state.as_str(),
                "status": job.status,
                "steps": job.steps,
                "last_step_ms": job.last_step.map(Timestamp::as_millis),
                "last_error": job.last_error,
            })
        })
        .collect();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": about.clock.now().since(about.started).as_secs(),
        "doors": &about.doors[..],
        "store": about.store.status(),
        "node": about.node_status(),
        "jobs": jobs,
    }))
}

async fn metrics(State(about): State<About>) -> Response {
    let mut registry = Registry::default();
    about.cache.counters().register(&mut registry);
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, &registry).is_err() {
        // A string takes whatever is written to it.
        text.clear();
    }
    let numbers = flatten("larder_store", &about.store.status()) + &flatten("larder_node", &about.node_status());
    let end = text.rfind("# EOF").unwrap_or(text.len());
    text.insert_str(end, &numbers);
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

/// The numbers of a JSON object as gauges, one line each.
fn flatten(prefix: &str, value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| flatten(&format!("{prefix}_{name}"), value)).collect()
        }
        Value::Number(number) => format!("# TYPE {prefix} gauge\n{prefix} {number}\n"),
        Value::Bool(yes) => format!("# TYPE {prefix} gauge\n{prefix} {}\n", u8::from(*yes)),
        _ => String::new(),
    }
}
