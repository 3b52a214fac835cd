//! The metadata service of a machine, version 2: a session first, then the name of the role, then its credentials.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use larder_base::{Error, ErrorKind, Result};

use super::{ANSWER_MAX_BYTES, Document, Found};
use crate::HttpClient;
use crate::http::Call;

const CREDENTIALS: &str = "latest/meta-data/iam/security-credentials/";
const SESSION: &str = "x-aws-ec2-metadata-token";

pub(super) async fn ask(http: &HttpClient, service: &str) -> Result<Found> {
    let service = service.trim_end_matches('/');
    let mut headers = HeaderMap::new();
    headers.insert("x-aws-ec2-metadata-token-ttl-seconds", HeaderValue::from_static("300"));
    let session = match request(http, Method::PUT, format!("{service}/latest/api/token"), headers).await {
        Ok(answer) if answer.status().is_success() => answer.into_body(),
        // Most machines have no such service; that is no fault of theirs.
        Ok(answer) => return Ok(Err(format!("the metadata service answered {}", answer.status()))),
        Err(error) if error.kind() == ErrorKind::Unavailable => return Ok(Err("there is no metadata service".into())),
        Err(error) => return Err(error),
    };
    let mut headers = HeaderMap::new();
    let session = HeaderValue::from_bytes(&session).map_err(|_| failed("gave no good session"))?;
    headers.insert(SESSION, session);
    let role = request(http, Method::GET, format!("{service}/{CREDENTIALS}"), headers.clone()).await?;
    if role.status() == StatusCode::NOT_FOUND {
        return Ok(Err("this machine has no role".into()));
    }
    let role = text(&role)?.lines().next().unwrap_or_default().trim().to_owned();
    if role.is_empty() {
        return Ok(Err("this machine has no role".into()));
    }
    let url = format!("{service}/{CREDENTIALS}{}", crate::url::escape(&role));
    let answer = request(http, Method::GET, url, headers).await?;
    let document: Document = serde_json::from_str(text(&answer)?)
        .map_err(|error| failed(&format!("gave no credentials of the role {role}")).with_source(error))?;
    if let Some(code) = document.code.as_deref().filter(|code| *code != "Success") {
        return Err(failed(&format!("says {code} of the role {role}")));
    }
    document.credentials().map(Ok)
}

async fn request(http: &HttpClient, method: Method, url: String, headers: HeaderMap) -> Result<Response<Bytes>> {
    let call = Call { method, url, headers, body: Bytes::new(), wait: std::time::Duration::ZERO, advice: None };
    http.exchange(&call, ANSWER_MAX_BYTES).await
}

fn text(answer: &Response<Bytes>) -> Result<&str> {
    if !answer.status().is_success() {
        return Err(failed(&format!("answered {}", answer.status())));
    }
    std::str::from_utf8(answer.body()).map_err(|_| failed("answered with no text"))
}

fn failed(what: &str) -> Error {
    Error::new(ErrorKind::Unavailable, "find credentials", format!("the metadata service {what}"))
}
