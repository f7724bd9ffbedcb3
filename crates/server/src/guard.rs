//! Who may call what, and how much at once: in front of every service, before a request is decoded (specification §5.6).
//!
//! | call | needs |
//! |---|---|
//! | `Read`, `Count`, `Stat`, `ListStreamIDs`, `Search`, `Subscribe`, `GetCursor`, `FindBySource` | the right to read, and the store |
//! | `Append`, `SetTags`, `SetAnnotations`, `AppendSession`, `SetCursor` | the right to write, and the store |
//! | `Trim`, `RenameStream` | the right to administer, and the store |
//! | `/metrics` of the gateway | the right to read |
//! | `Health`, reflection, `/openapi.json`, anything unknown | a key, if the daemon has any |
//! | `grpc.health.v1`, `/healthz`, `/readyz` | nothing: orchestrators have no key, and it tells them no more than up or down |
//!
//! A client with too much under way is told so (`RESOURCE_EXHAUSTED`), a call with one answer that takes too long ends
//! (`DEADLINE_EXCEEDED`), every call is counted, and a panic fails its request alone (W36).

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use http::{Extensions, HeaderMap, HeaderValue, Request, Response};
use ledger_api::metadata::{API_KEY, STORE};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::admitted::{Admitted, OpenBody};
use crate::calls::{Call, call_at};
use crate::keys::{Identity, Keyring};
use crate::limits::{Kind, Slot, Slots};
use crate::listener::Peer;
use crate::metrics::Metrics;
use crate::time_limit::time_limit;

/// Most calls of one client that stay open.
const MAX_OPEN_CALLS_PER_CLIENT: usize = 4096;

/// Whoever makes the call; an extension of every request that has passed the guard.
#[derive(Clone)]
pub(crate) struct Caller(pub(crate) Arc<Identity>);

/// Puts a [`Guarded`] in front of services. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Guard {
    keys: watch::Receiver<Arc<Keyring>>,
    metrics: Arc<Metrics>,
    max_requests_per_client: usize,
    /// What each key has under way. There are no more than keys, revoked ones included until the daemon stops.
    of_keys: Arc<RwLock<HashMap<String, Arc<Slots>>>>,
}

impl Guard {
    /// A guard that goes by the latest keys.
    pub(crate) fn new(
        keys: watch::Receiver<Arc<Keyring>>,
        metrics: Arc<Metrics>,
        max_requests_per_client: usize,
    ) -> Self {
        Self { keys, metrics, max_requests_per_client, of_keys: Arc::default() }
    }

    /// Lets a call in, if its caller may make it and has room for it. `path` is that of the call over gRPC, `headers`
    /// hold its metadata, `extensions` its [`Peer`]: every face of the daemon asks here.
    ///
    /// # Errors
    /// The status to answer with: `UNAUTHENTICATED`, `PERMISSION_DENIED`, `RESOURCE_EXHAUSTED`. It is counted.
    pub(crate) fn let_in(
        &self,
        path: &str,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Admitted, Status> {
        let call = call_at(path);
        let checked = self.check(path, headers).and_then(|caller| {
            let slot = self.make_room(call, caller.as_ref(), extensions)?;
            Ok((caller, slot))
        });
        match checked {
            Ok((caller, slot)) => Ok(Admitted::new(call, caller, slot, self.metrics.clone())),
            Err(status) => {
                self.metrics.answered(call.name, status.code(), std::time::Duration::ZERO);
                Err(status)
            }
        }
    }

    /// Who makes a call, if they may; `None` for those that anybody may make.
    fn check(&self, path: &str, headers: &HeaderMap) -> Result<Option<Caller>, Status> {
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
        match call_at(path).needs {
            Some(right) if !identity.rights.contains(&right) => {
                let message = format!("access denied: this API key has no right to {}", right.name());
                Err(Status::permission_denied(message))
            }
            _ => Ok(Some(Caller(identity))),
        }
    }

    /// Room for one more call of a client.
    fn make_room(
        &self,
        call: &Call,
        caller: Option<&Caller>,
        extensions: &Extensions,
    ) -> Result<Slot, Status> {
        let slots = match caller {
            Some(Caller(identity)) if !identity.is_anonymous() => self.slots_of_key(&identity.name),
            _ => extensions.get::<Peer>().map(|peer| peer.slots.clone()).unwrap_or_default(),
        };
        let (limit, what) = match call.kind {
            Kind::Request => (self.max_requests_per_client, "requests under way"),
            Kind::Stream => (MAX_OPEN_CALLS_PER_CLIENT, "calls open"),
        };
        slots.take(call.kind, limit).ok_or_else(|| {
            Status::resource_exhausted(format!(
                "this client has {limit} {what}, which is the limit; nothing was done: wait for answers, then try again"
            ))
        })
    }

    fn slots_of_key(&self, name: &str) -> Arc<Slots> {
        if let Some(slots) = self.of_keys.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return slots.clone();
        }
        self.of_keys
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(name.to_owned())
            .or_default()
            .clone()
    }
}

/// The status of a request whose key is not known.
pub(crate) fn unauthenticated() -> Status {
    // The text of the original: its clients may look for it.
    Status::unauthenticated("authentication failed: rpc error: code = Unauthenticated desc = invalid api key")
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
        let admitted = self.guard.let_in(request.uri().path(), request.headers(), request.extensions());
        let mut admitted = match admitted {
            Ok(admitted) => admitted,
            Err(status) => return Box::pin(std::future::ready(Ok(status.into_http()))),
        };
        if let Some(caller) = admitted.caller() {
            request.extensions_mut().insert(caller);
        }
        // One that cannot be read is the transport's to refuse.
        let time_limit = time_limit(request.headers()).ok().flatten();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = match admitted.carry_out(time_limit, answer).await {
                Ok(answer) => answer.map(too_large_as_clients_know_it)?,
                Err(status) => status.into_http(),
            };
            let code = code_of(&answer);
            Ok(match (admitted.kind(), code) {
                (Kind::Stream, Code::Ok) => {
                    answer.map(|body| Body::new(OpenBody::new(body, admitted.stays_open())))
                }
                _ => {
                    admitted.ends(code);
                    answer
                }
            })
        })
    }
}

/// The code of an answer, as far as its headers say: one that fails has it there, one that succeeds at its end.
fn code_of<B>(answer: &Response<B>) -> Code {
    answer.headers().get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
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

    use ledger_sqlite::Database;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::keys::Right;
    use crate::listener::Admission;
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
        let database = Database::open(folder.path().join("ledger.db")).connect().await.unwrap();
        let metrics = Metrics::new(Admission::new(1), database);
        let service = Guard::new(keys, metrics, 1).layer(service_fn(answer));
        let call = |path: &'static str| {
            service.clone().oneshot(Request::builder().uri(path).body(Body::default()).unwrap())
        };
        assert_eq!(call("/panics").await.unwrap().headers()["grpc-status"], "13");
        assert!(call("/fine").await.unwrap().headers().get("grpc-status").is_none());
    }

    #[tokio::test]
    async fn every_call_needs_its_right_and_its_store() {
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
        let database = Database::open(folder.path().join("ledger.db")).connect().await.unwrap();
        let metrics = Metrics::new(Admission::new(1), database);
        let guard = Guard::new(watch::channel(Arc::new(keyring)).1, metrics, 1);
        let admit = |path: &str, key: &str, store: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(API_KEY, key.parse().unwrap());
            headers.insert(STORE, store.parse().unwrap());
            guard.check(path, &headers).map(drop).map_err(|status| status.code())
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
                let expected = if *right == needed { Ok(()) } else { Err(Code::PermissionDenied) };
                assert_eq!(admit(&path, key, "orders"), expected, "{call} with the right to {right:?}");
                assert_eq!(admit(&path, key, "other"), Err(Code::PermissionDenied), "{call}");
            }
            assert_eq!(admit(&path, "wrong", "orders"), Err(Code::Unauthenticated), "{call}");
        }
        for path in
            ["/ledger.v1.LedgerService/Health", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"]
        {
            assert!(guard.check(path, &HeaderMap::new()).is_err(), "{path}");
        }
        assert!(guard.check("/grpc.health.v1.Health/Check", &HeaderMap::new()).is_ok());
    }
}
