//! A role taken on with a token of the platform: `AssumeRoleWithWebIdentity` of the security token service.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use larder_base::{Error, ErrorKind, Result};

use super::super::xml::Element;
use super::{ANSWER_MAX_BYTES, Credentials, moment};
use crate::HttpClient;
use crate::http::Call;
use crate::url::escape;

/// A role, and how to come by the token that allows taking it on.
#[derive(Clone)]
pub struct WebIdentity {
    /// The service, such as `https://sts.eu-west-1.amazonaws.com`.
    pub endpoint: String,
    /// The role's name.
    pub role_arn: String,
    /// What the session is called in the role's audit log.
    pub session_name: String,
    /// Reads the token; platforms write a new one now and then.
    pub token: Arc<dyn Fn() -> Result<String> + Send + Sync>,
}

impl WebIdentity {
    pub(super) async fn assume(&self, http: &HttpClient) -> Result<Credentials> {
        let token = (self.token)()?;
        // In the body, as addresses end up in logs.
        let body = format!(
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName={}&WebIdentityToken={}",
            escape(&self.role_arn),
            escape(&self.session_name),
            escape(token.trim())
        );
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
        let url = format!("{}/", self.endpoint.trim_end_matches('/'));
        let call = Call { method: Method::POST, url, headers, body: body.into(), wait: Duration::ZERO, advice: None };
        let answer = http.exchange(&call, ANSWER_MAX_BYTES).await?;
        let failed = |kind, what: String| {
            let message = format!("{} {what} for the role {}", self.endpoint, self.role_arn);
            Error::new(kind, "take on role", message)
                .with_hint("check AWS_ROLE_ARN, the role's trust policy and AWS_WEB_IDENTITY_TOKEN_FILE")
        };
        if !answer.status().is_success() {
            let said = Element::parse(answer.body()).ok();
            let error = said.as_ref().and_then(|said| said.child("Error"));
            let said = error.map_or_else(String::new, |error| {
                format!(" {}: {}", error.text("Code").unwrap_or("?"), error.text("Message").unwrap_or(""))
            });
            let kind = if answer.status().is_server_error() { ErrorKind::Unavailable } else { ErrorKind::Denied };
            return Err(failed(kind, format!("answered {}{said}", answer.status())));
        }
        let document = Element::parse(answer.body())?;
        let given = document
            .child("AssumeRoleWithWebIdentityResult")
            .and_then(|result| result.child("Credentials"))
            .ok_or_else(|| failed(ErrorKind::Failed, "gave no credentials".into()))?;
        Ok(Credentials {
            access_key_id: given.need("AccessKeyId")?.to_owned(),
            secret_access_key: given.need("SecretAccessKey")?.to_owned(),
            session_token: given.text("SessionToken").map(str::to_owned),
            expires: given.text("Expiration").map(moment).transpose()?,
        })
    }
}
