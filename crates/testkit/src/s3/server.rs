//! Connections: requests in, answers out, faults between.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;

use super::fault::Fault;
use super::operation::{Query, operation, plain};
use super::signature::Arrived;
use super::state::{Asked, Refused, Reply};
use super::{Lockout, Operation, Shared, document, signature};

type Body = BoxBody<Bytes, io::Error>;

pub(super) async fn start(shared: Arc<Shared>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("this machine has a free port");
    let url = format!("http://{}", listener.local_addr().expect("a listener has an address"));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { serve(&shared, request).await }
            });
            tokio::spawn(async move {
                // A client that goes away, or is thrown out, ends its connection with an error; that is as it should be.
                let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    url
}

async fn serve(shared: &Shared, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let query = Query::parse(head.uri.query().unwrap_or_default());
    let path = head.uri.path();
    let Some((bucket, key)) = path.trim_start_matches('/').split_once('/') else {
        return Ok(refuse(shared, &head.method, &Refused(404, "NoSuchBucket", path.to_owned())));
    };
    let key = plain(key);
    let key = (!key.is_empty()).then_some(key);
    let Some(operation) = operation(&head.method, key.as_deref(), &query).filter(|_| bucket == shared.bucket) else {
        return Ok(refuse(shared, &head.method, &Refused(404, "NoSuchBucket", path.to_owned())));
    };
    shared.seen.lock().push(operation);
    let is_client = signature::was_handed_out(operation, &query);
    let lockout = *shared.clients.lockout.lock();
    match lockout.filter(|_| is_client) {
        Some(Lockout::Reset) => return Err(io::ErrorKind::ConnectionReset.into()),
        Some(Lockout::Silence) => std::future::pending().await,
        None => {}
    }
    let fault = shared.faults.lock().take(operation);
    if fault == Some(Fault::Hold) {
        shared.hold().await;
    }
    // All of it, whatever the answer: a client need not look for one while it is still sending.
    let body = match fault {
        Some(Fault::HoldBody(after)) => collect_holding(shared, body, after).await?,
        _ => body.collect().await.map_err(io::Error::other)?.to_bytes(),
    };
    match fault {
        Some(Fault::Reset) => return Err(io::ErrorKind::ConnectionReset.into()),
        Some(Fault::Refuse(status, code)) => {
            return Ok(refuse(shared, &head.method, &Refused(status, code, "as the test wants".into())));
        }
        Some(Fault::RefuseInside(code)) => {
            let inside = format!("\n \n{}", document::error(code, "as the test wants"));
            return Ok(response(shared, Reply { status: 200, body: inside.into(), ..Reply::default() }, whole));
        }
        _ => {}
    }
    let mut headers = head.headers;
    if fault == Some(Fault::IgnoreRange) {
        headers.remove("range");
    }
    let key = key.unwrap_or_default();
    let length = body.len() as u64;
    let asked = Asked { operation, key: &key, query: &query, headers: &headers, body, now: shared.clock.now() };
    let arrived =
        Arrived { method: &head.method, path, query: &query, headers: &headers, body: &asked.body, now: asked.now };
    let takes_headers = shared.state.lock().directory.is_some();
    let done = allowed(shared, operation)
        .and_then(|()| signature::check(&arrived, takes_headers, |id| shared.grant(operation, id)))
        .and_then(|()| shared.state.lock().answer(&asked));
    if is_client && let Ok(reply) = &done {
        shared.clients.put.fetch_add(length, Ordering::SeqCst);
        shared.clients.got.fetch_add(reply.body.len() as u64, Ordering::SeqCst);
    }
    if fault == Some(Fault::HoldAnswer) {
        shared.hold().await;
    }
    Ok(match (done, fault) {
        (_, Some(Fault::ResetAfter)) => return Err(io::ErrorKind::ConnectionReset.into()),
        (Err(refused), _) => refuse(shared, &head.method, &refused),
        (Ok(reply), Some(Fault::BreakOff(after))) => response(shared, reply, |body| cut(&body, after, true)),
        (Ok(reply), Some(Fault::Stall(after))) => response(shared, reply, |body| cut(&body, after, false)),
        (Ok(reply), _) => response(shared, reply, whole),
    })
}

/// A body, with a pause once so many bytes of it came.
async fn collect_holding(shared: &Shared, mut body: Incoming, after: usize) -> io::Result<Bytes> {
    let mut whole = Vec::new();
    let mut was_held = false;
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.map_err(io::Error::other)?.into_data() {
            whole.extend_from_slice(&piece);
        }
        if whole.len() >= after && !was_held {
            was_held = true;
            shared.hold().await;
        }
    }
    Ok(whole.into())
}

fn allowed(shared: &Shared, operation: Operation) -> Result<(), Refused> {
    let faults = shared.faults.lock();
    if faults.lacked.contains(&operation) {
        return Err(Refused(501, "NotImplemented", "not known here".into()));
    }
    if faults.denied.contains(&operation) {
        return Err(Refused(403, "AccessDenied", "Access Denied".into()));
    }
    Ok(())
}

fn refuse(shared: &Shared, method: &Method, Refused(status, code, message): &Refused) -> Response<Body> {
    let body = if method == Method::HEAD { String::new() } else { document::error(code, message) };
    response(shared, Reply { status: *status, body: body.into(), ..Reply::default() }, whole)
}

fn response(shared: &Shared, reply: Reply, body: impl FnOnce(Bytes) -> Body) -> Response<Body> {
    let mut headers = HeaderMap::new();
    headers.insert("content-length", HeaderValue::from(reply.body.len()));
    let now = i64::try_from(shared.clock.now().as_millis()).unwrap_or_default();
    let now = jiff::Timestamp::from_millisecond(now).unwrap_or_default();
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    headers.insert("date", HeaderValue::from_str(&date).expect("a date is plain text"));
    for (name, value) in reply.headers {
        headers.insert(name, HeaderValue::from_str(&value).expect("the store's values are plain text"));
    }
    let mut response = Response::new(body(reply.body));
    *response.status_mut() = reply.status.try_into().expect("the store's statuses are three digits");
    *response.headers_mut() = headers;
    response
}

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never: Infallible| match never {}).boxed()
}

/// The first bytes of a body, and then the end of the connection or nothing more.
fn cut(body: &Bytes, after: usize, breaks: bool) -> Body {
    let first = body.slice(..after.min(body.len()));
    let pieces = stream::unfold(Some(first), move |first| async move {
        match first {
            Some(first) => Some((Ok(Frame::data(first)), None)),
            None if breaks => {
                // What was written before is sent on while nothing more is there to be written.
                tokio::task::yield_now().await;
                Some((Err(io::ErrorKind::ConnectionReset.into()), None))
            }
            None => std::future::pending().await,
        }
    });
    BodyExt::boxed(StreamBody::new(pieces))
}
