//! Who may call what: in front of every service, before a request is decoded (specification §5.6).
//!
//! | call | needs |
//! |---|---|
//! | `Read`, `Count`, `Stat`, `ListStreamIDs`, `Search`, `Subscribe` | the right to read, and the store |
//! | `Append`, `SetTags`, `SetAnnotations`, `AppendSession` | the right to write, and the store |
//! | `Trim`, `RenameStream` | the right to administer, and the store |
//! | `Health`, reflection, anything unknown | a key, if the daemon has any |
//! | `grpc.health.v1` | nothing: orchestrators have no key, and it tells them no more than up or down |
//!
//! It also contains panics: one request fails, the others do not notice (W36).

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response};
use ledger_api::metadata::{API_KEY, STORE};
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::keys::{Identity, Keyring, Right};

/// Whoever makes the call; an extension of every request that has passed the guard.
#[derive(Clone)]
pub(crate) struct Caller(pub(crate) Arc<Identity>);

/// Puts a [`Guarded`] in front of services.
#[derive(Clone)]
pub(crate) struct Guard {
    keys: watch::Receiver<Arc<Keyring>>,
}

impl Guard {
    /// A guard that goes by the latest keys.
    pub(crate) fn new(keys: watch::Receiver<Arc<Keyring>>) -> Self {
        Self { keys }
    }

    /// Who makes a call, if they may; `None` for those that anybody may make. `path` is that of the call over gRPC,
    /// `headers` hold its metadata: every face of the daemon asks here.
    ///
    /// # Errors
    /// The status to answer with.
    pub(crate) fn admit(&self, path: &str, headers: &HeaderMap) -> Result<Option<Caller>, Status> {
        if path.starts_with("/grpc.health.v1.") {
            return Ok(None);
        }
        let keyring = self.keys.borrow().clone();
        let key = headers.get(API_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
        let identity = keyring.identify(key).ok_or_else(unauthenticated)?;
        if let Some(store) = headers.get(STORE) {
            let store = store.to_str().unwrap_or("\u{FFFD}");
            if !identity.may_touch(store) {
                return Err(Status::permission_denied(format!(
                    "access denied: store {store:?} is not accessible with this API key"
                )));
            }
        }
        match right_for(path) {
            Some(right) if !identity.rights.contains(&right) => {
                let message = format!("access denied: this API key has no right to {}", right.name());
                Err(Status::permission_denied(message))
            }
            _ => Ok(Some(Caller(identity))),
        }
    }
}

/// The status of a request whose key is not known.
pub(crate) fn unauthenticated() -> Status {
    // The text of the original: its clients may look for it.
    Status::unauthenticated("authentication failed: rpc error: code = Unauthenticated desc = invalid api key")
}

/// The right that a call needs; `None` for those that touch no entries.
fn right_for(path: &str) -> Option<Right> {
    let call = path.strip_prefix("/ledger.v1.LedgerService/");
    let call = call.or_else(|| path.strip_prefix("/ledger.v1.LedgerStreaming/"))?;
    match call {
        "Read" | "Count" | "Stat" | "ListStreamIDs" | "Search" | "Subscribe" => Some(Right::Read),
        "Append" | "SetTags" | "SetAnnotations" | "AppendSession" => Some(Right::Write),
        "Health" => None,
        // Trim and RenameStream; whatever is added later is for administrators until it has a line above.
        _ => Some(Right::Admin),
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;
    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: self.clone(), inner }
    }
}

/// A service behind a [`Guard`].
#[derive(Clone)]
pub(crate) struct Guarded<S> {
    guard: Guard,
    inner: S,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.guard.admit(request.uri().path(), request.headers()) {
            Ok(Some(caller)) => {
                request.extensions_mut().insert(caller);
            }
            Ok(None) => {}
            Err(status) => return Box::pin(std::future::ready(Ok(status.into_http()))),
        }
        let answer = contain(self.inner.call(request));
        Box::pin(async move {
            match answer.await {
                Ok(answer) => answer.map(too_large_as_clients_know_it),
                Err(fault) => Ok(fault.into_http()),
            }
        })
    }
}

/// The end of a future, or the status to answer with if it panics.
pub(crate) async fn contain<F: Future>(future: F) -> Result<F::Output, Status> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|_| {
        tracing::error!("a request failed by a fault of the program; it alone was ended");
        Status::internal("internal error: the daemon has a fault; its log says more")
    })
}

/// A message over the limit is `RESOURCE_EXHAUSTED` to clients (specification §5.5); the transport says `OUT_OF_RANGE`,
/// which nothing else here does.
fn too_large_as_clients_know_it(mut answer: Response<Body>) -> Response<Body> {
    if answer.headers().get("grpc-status").is_some_and(|code| code == "11") {
        answer.headers_mut().insert("grpc-status", HeaderValue::from_static("8"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::{Config, KeyFile};

    #[tokio::test]
    async fn a_panic_fails_its_request_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keyring::load(&Config::defaults(folder.path()), folder.path()).unwrap();
        let (_keep, keys) = watch::channel(Arc::new(keys));
        let answer = |request: Request<Body>| async move {
            assert!(request.uri().path() != "/panics", "on purpose");
            Ok::<_, Infallible>(Response::new(Body::default()))
        };
        let service = Guard::new(keys).layer(service_fn(answer));
        let call = |path: &'static str| {
            service.clone().oneshot(Request::builder().uri(path).body(Body::default()).unwrap())
        };
        assert_eq!(call("/panics").await.unwrap().headers()["grpc-status"], "13");
        assert!(call("/fine").await.unwrap().headers().get("grpc-status").is_none());
    }

    #[test]
    fn every_call_needs_its_right_and_its_store() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::new(folder.path());
        let stores = [String::from("orders")];
        let mut keys = Vec::new();
        for right in Right::ALL {
            let key =
                file.create(right.name(), stores.clone().into(), [right].into(), jiff::Timestamp::UNIX_EPOCH);
            keys.push((right, key.unwrap()));
        }
        let keyring = Keyring::load(&Config::defaults(folder.path()), folder.path()).unwrap();
        let guard = Guard::new(watch::channel(Arc::new(keyring)).1);
        let admit = |path: &str, key: &str, store: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(API_KEY, key.parse().unwrap());
            headers.insert(STORE, store.parse().unwrap());
            guard.admit(path, &headers).map(drop).map_err(|status| status.code())
        };
        for (call, needed) in [
            ("LedgerService/Read", Right::Read),
            ("LedgerService/Count", Right::Read),
            ("LedgerService/Stat", Right::Read),
            ("LedgerService/ListStreamIDs", Right::Read),
            ("LedgerService/Search", Right::Read),
            ("LedgerStreaming/Subscribe", Right::Read),
            ("LedgerService/Append", Right::Write),
            ("LedgerService/SetTags", Right::Write),
            ("LedgerService/SetAnnotations", Right::Write),
            ("LedgerStreaming/AppendSession", Right::Write),
            ("LedgerService/Trim", Right::Admin),
            ("LedgerService/RenameStream", Right::Admin),
            ("LedgerService/AddedLater", Right::Admin),
        ] {
            let path = format!("/ledger.v1.{call}");
            for (right, key) in &keys {
                let expected = if *right == needed { Ok(()) } else { Err(tonic::Code::PermissionDenied) };
                assert_eq!(admit(&path, key, "orders"), expected, "{call} with the right to {right:?}");
                assert_eq!(admit(&path, key, "other"), Err(tonic::Code::PermissionDenied), "{call}");
            }
            assert_eq!(admit(&path, "wrong", "orders"), Err(tonic::Code::Unauthenticated), "{call}");
        }
        for path in
            ["/ledger.v1.LedgerService/Health", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"]
        {
            assert!(guard.admit(path, &HeaderMap::new()).is_err(), "{path}");
        }
        assert!(guard.admit("/grpc.health.v1.Health/Check", &HeaderMap::new()).is_ok());
    }
}
