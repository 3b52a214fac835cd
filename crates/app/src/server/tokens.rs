//! The page `/tokens`: an administrator gives out tokens for its namespaces, lists them and takes them back.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get};
use axum::{Router, body::Bytes};
use larder_base::{Error, ErrorKind, Result};
use larder_cache::NamespacePattern;
use larder_door::credential_of;
use serde_json::json;

use super::pages::{About, refuse};
use crate::tokens::{NewToken, TokenRequest, is_covered};

/// The routes of the page.
pub(super) fn token_routes() -> Router<About> {
    Router::new().route("/tokens", get(list).post(create)).route("/tokens/{id}", delete(revoke))
}

/// The namespaces that a request may give out tokens for.
fn administered(about: &About, headers: &HeaderMap) -> Result<Vec<NamespacePattern>> {
    if about.cache.rights().is_open() {
        let message = "this server asks nobody for a token, so that one would mean nothing";
        return Err(Error::new(ErrorKind::Denied, "look after tokens", message).with_hint(
            "stop it and make the first with `larder token create --data DIR --namespace '*' --admin --write trusted`, or add [[credentials]]",
        ));
    }
    let administered = about.cache.administered(credential_of(headers).as_ref());
    if administered.is_empty() {
        return Err(Error::new(ErrorKind::Denied, "look after tokens", "this page is for administrators")
            .with_hint("use the token of a credential with admin = true"));
    }
    Ok(administered)
}

async fn list(State(about): State<About>, headers: HeaderMap) -> Response {
    match administered(&about, &headers) {
        Ok(administered) => Json(json!({ "tokens": about.tokens.list(&administered) })).into_response(),
        Err(error) => refuse(&error),
    }
}

async fn create(State(about): State<About>, headers: HeaderMap, body: Bytes) -> Response {
    match created(&about, &headers, &body) {
        Ok(new) => (StatusCode::CREATED, Json(new)).into_response(),
        Err(error) => refuse(&error),
    }
}

fn created(about: &About, headers: &HeaderMap, body: &[u8]) -> Result<NewToken> {
    let administered = administered(about, headers)?;
    let request: TokenRequest = serde_json::from_slice(body)
        .map_err(|error| Error::invalid("create token", "the body is not what is expected here").with_source(error))?;
    if !is_covered(&administered, &request.namespaces.parse()?) {
        let message = format!("{} is not all within the namespaces you are an administrator of", request.namespaces);
        return Err(Error::new(ErrorKind::Denied, "create token", message));
    }
    about.tokens.create(&request, crate::tokens::random()?, about.clock.now())
}

async fn revoke(State(about): State<About>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let revoked = administered(&about, &headers).and_then(|administered| about.tokens.revoke(&id, &administered));
    match revoked {
        Ok(Some(line)) => Json(line).into_response(),
        Ok(None) => {
            let error = Error::invalid("revoke token", format!("there is no token {id:?}"));
            refuse(&error.with_hint("`larder token list` shows those that there are"))
        }
        Err(error) => refuse(&error),
    }
}
