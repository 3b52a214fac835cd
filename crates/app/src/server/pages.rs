//! The pages about the server itself: `/healthz`, `/status`, `/metrics`, `/gc`, `/jobs` and `/tokens`.
//!
//! They name namespaces, so with credentials configured all but the first are for operators. Tokens are for
//! administrators too, each for those of its own namespaces. A node without credentials shows everyone on its machine the
//! numbers, and nothing that could quote a key; what changes anything is refused there.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use larder_base::{BoxFuture, Clock, Error, ErrorKind, Result, Timestamp};
use larder_cache::{Cache, JobReport, JobState, LastRun, Node, Usage};
use larder_door::credential_of;
use larder_remote::UpstreamTier;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use serde_json::{Value, json};

use super::tokens::token_routes;
use crate::tokens::TokenFile;

/// What the pages tell of.
#[derive(Clone)]
pub struct About {
    /// What has been counted, and the jobs.
    pub cache: Cache,
    /// The store.
    pub store: Arc<dyn Kept>,
    /// The tokens that were given out.
    pub tokens: Arc<TokenFile>,
    /// The node, if this is one.
    pub node: Option<Node>,
    /// The client of the Larder above it.
    pub above: Option<UpstreamTier>,
    /// When the server started.
    pub started: Timestamp,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The doors that are open.
    pub doors: Arc<[&'static str]>,
}

impl About {
    /// What the node is doing; null where there is none.
    fn node_status(&self, sight: Sight) -> Value {
        let Some(node) = &self.node else { return Value::Null };
        let mut status = node.status();
        if sight == Sight::Numbers {
            (status.last_error, status.notes) = (None, Vec::new());
        }
        let mut status = json!(status);
        if let Some(above) = &self.above {
            status["direct"] = json!(above.direct_status());
        }
        status
    }
}

/// What an operator sees and does of what is kept.
pub trait Kept: Send + Sync {
    /// The numbers, as a flat JSON object.
    fn status(&self) -> Value;

    /// Changes the quota if one is given, brings the data under it, and tells what was done.
    fn collect_garbage(&self, quota: Option<u64>) -> BoxFuture<'_, Result<Value>>;
}

/// How much of the pages someone sees.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// What does not quote a key.
    Numbers,
    All,
}

/// The routes of the pages.
pub fn pages(about: About) -> Router {
    Router::new()
        .route("/gc", post(collect_garbage))
        .route("/jobs/{name}", post(run_job))
        .route_layer(middleware::from_fn_with_state(about.clone(), for_operators))
        .merge(shown(&about))
        .merge(token_routes())
        .route("/healthz", get(async || "ok\n"))
        .with_state(about)
}

/// The pages that only show something.
fn shown(about: &About) -> Router<About> {
    Router::new()
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/jobs", get(jobs))
        .route_layer(middleware::from_fn_with_state(about.clone(), for_watchers))
}

async fn for_watchers(State(about): State<About>, mut request: Request, next: Next) -> Response {
    let sight = match about.cache.check_operator(credential_of(request.headers()).as_ref()) {
        Ok(()) => Sight::All,
        Err(_) if about.cache.rights().shows_numbers() => Sight::Numbers,
        Err(denied) => return refuse(&denied),
    };
    request.extensions_mut().insert(sight);
    next.run(request).await
}

async fn for_operators(State(about): State<About>, request: Request, next: Next) -> Response {
    match about.cache.check_operator(credential_of(request.headers()).as_ref()) {
        Ok(()) => next.run(request).await,
        Err(denied) => refuse(&denied),
    }
}

pub(super) fn refuse(error: &Error) -> Response {
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

async fn status(State(about): State<About>, Extension(sight): Extension<Sight>) -> Json<Value> {
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": about.clock.now().since(about.started).as_secs(),
        "doors": &about.doors[..],
        "store": about.store.status(),
        "namespaces": namespaces(&about),
        "node": about.node_status(sight),
        "jobs": reports(&about, sight),
    }))
}

/// What each namespace holds, as last measured, and may hold.
fn namespaces(about: &About) -> Vec<Value> {
    let quotas = about.cache.quotas();
    let line = |(namespace, usage): (larder_base::Namespace, Usage)| {
        let limits = quotas.limits(&namespace);
        json!({
            "name": namespace.as_str(),
            "entries": usage.entries,
            "logical_bytes": usage.logical_bytes,
            "stored_bytes": usage.stored_bytes,
            "quota": limits.namespace,
            "owner_quota": limits.owner,
        })
    };
    quotas.usage().into_iter().map(line).collect()
}

fn reports(about: &About, sight: Sight) -> Vec<Value> {
    let shown = |mut job: JobReport| {
        if let (Sight::Numbers, Some(run)) = (sight, &mut job.last_run) {
            run.reason = None;
        }
        report(&job)
    };
    about.cache.jobs().reports().into_iter().map(shown).collect()
}

fn report(job: &JobReport) -> Value {
    json!({
        "name": job.name,
        "state": job.state.as_str(),
        "status": job.status,
        "steps": job.steps,
        "failures": job.failures,
        "running_since_ms": job.running_since.map(Timestamp::as_millis),
        "last_run": job.last_run.as_ref().map(last_run),
        "last_success_ms": job.last_success.map(Timestamp::as_millis),
        "last_interrupted_ms": job.last_interrupted.map(Timestamp::as_millis),
        "last_error": job.last_error(),
    })
}

fn last_run(run: &LastRun) -> Value {
    json!({
        "began_ms": run.began.as_millis(),
        "ended_ms": run.ended.map(Timestamp::as_millis),
        "outcome": run.outcome.as_str(),
        "reason": run.reason,
        "did": run.did,
    })
}

async fn jobs(State(about): State<About>, Extension(sight): Extension<Sight>) -> Json<Value> {
    Json(json!({ "jobs": reports(&about, sight) }))
}

/// Has a job take a step now, and tells how that went.
async fn run_job(State(about): State<About>, Path(name): Path<String>) -> Response {
    match about.cache.jobs().run(&name).await {
        Some(done) => Json(report(&done)).into_response(),
        None => {
            let error =
                Error::invalid("run job", format!("there is no job {name:?}")).with_hint("`larder jobs` lists them");
            refuse(&error)
        }
    }
}

async fn metrics(State(about): State<About>) -> Response {
    let mut registry = Registry::default();
    about.cache.counters().register(&mut registry);
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, &registry).is_err() {
        // A string takes whatever is written to it.
        text.clear();
    }
    let numbers = flatten("larder_store", &about.store.status())
        + &flatten("larder_node", &about.node_status(Sight::Numbers))
        + &of_jobs(&about)
        + &of_namespaces(&about);
    let end = text.rfind("# EOF").unwrap_or(text.len());
    text.insert_str(end, &numbers);
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

/// A metric of several lines, each with one label.
fn family(name: &str, label: &str, values: impl Iterator<Item = (String, f64)>) -> String {
    // Names of jobs and namespaces hold nothing that would have to be escaped.
    let lines: String = values.map(|(of, value)| format!("{name}{{{label}=\"{of}\"}} {value}\n")).collect();
    if lines.is_empty() { lines } else { format!("# TYPE {name} gauge\n{lines}") }
}

fn of_jobs(about: &About) -> String {
    let reports = about.cache.jobs().reports();
    let seconds = |time: Option<Timestamp>| time.map(|time| time.as_millis() as f64 / 1000.0);
    let each = |name, value: &dyn Fn(&JobReport) -> Option<f64>| {
        family(name, "job", reports.iter().filter_map(|job| Some((job.name.to_owned(), value(job)?))))
    };
    each("larder_job_steps", &|job| Some(job.steps as f64))
        + &each("larder_job_failures", &|job| Some(job.failures as f64))
        + &each("larder_job_failing", &|job| Some(f64::from(u8::from(job.state == JobState::Failing))))
        + &each("larder_job_last_success_seconds", &|job| seconds(job.last_success))
        + &each("larder_job_last_interrupted_seconds", &|job| seconds(job.last_interrupted))
        + &each("larder_job_last_run_seconds", &|job| seconds(job.last_run.as_ref()?.ended))
        + &each("larder_job_last_took_seconds", &|job| {
            let run = job.last_run.as_ref()?;
            Some(run.ended?.since(run.began).as_secs_f64())
        })
}

fn of_namespaces(about: &About) -> String {
    let (quotas, usage) = (about.cache.quotas(), about.cache.quotas().usage());
    let each = |name, value: &dyn Fn(&larder_base::Namespace, &Usage) -> Option<u64>| {
        let values = usage.iter().filter_map(|(of, usage)| Some((of.to_string(), value(of, usage)? as f64)));
        family(name, "namespace", values)
    };
    each("larder_namespace_entries", &|_, usage| Some(usage.entries))
        + &each("larder_namespace_logical_bytes", &|_, usage| Some(usage.logical_bytes))
        + &each("larder_namespace_stored_bytes", &|_, usage| Some(usage.stored_bytes))
        + &each("larder_namespace_quota_bytes", &|of, _| quotas.limits(of).namespace)
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
