//! Server-sent events (WHATWG HTML §9.2): what changes, and what services print.
//!
//! `api/events`
//!
//! | block | when |
//! |---|---|
//! | `event: state` `data: {"ledgerDir", "services", "reconcile", "proxy"}` | at once, and whenever any of it has changed |
//!
//! `api/log-events?service=ID[&lines=200]`
//!
//! | block | when |
//! |---|---|
//! | `event: begin` `data: {"service"}` | first: what was shown before is told again |
//! | `event: lines` `data: [{"stream": "stdout" or "stderr", "text"}, …]` | lines, as the service prints them |
//! | `event: missed` `data: {"stream"}` | lines were deleted by rotation before they could be read |
//! | `event: refused` `data: {"message"}` | the log is for its owner only, or cannot be read; the stream ends |
//!
//! Either sends `: heartbeat` when nothing has happened for 15 seconds. A slow reader is told the latest state, not every one;
//! lines are read from the file only as fast as they are taken, so nothing piles up here.

use std::convert::Infallible;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use ledger_yard::Tail;
use serde_json::{Value, json};
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};

use crate::access::{Access, OWNERS_ONLY};
use crate::answer::{Body, Refusal, answer};
use crate::picture::{Logs, Picture};
use crate::query;
use crate::routes::{App, is_stopping};

/// Event streams that are open at once; more are refused.
pub(crate) const MAX_STREAMS: usize = 256;
/// Sent when nothing has happened for this long, so that a broken connection is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A log is looked at after this time, even if nobody told that it has grown.
const LOOK_ANYWAY: Duration = Duration::from_secs(1);
/// Most bytes of lines that are read from a log at once.
const MAX_READ_BYTES: usize = 64 << 10;
/// Lines of the past that are told at first: default and most.
const LINES: [u64; 2] = [200, 5000];

/// `api/events`.
pub(crate) fn state(app: &Arc<App>) -> Result<Response<Body>, Refusal> {
    let place = place(app)?;
    let mut pictures = app.live.subscribe();
    pictures.mark_changed();
    let states = States { pictures, stopping: app.stopping.clone(), _place: place };
    Ok(event_stream(states, States::next))
}

/// The stream of states.
struct States {
    pictures: watch::Receiver<Arc<Picture>>,
    stopping: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl States {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let chunk = tokio::select! {
            () = is_stopping(&mut self.stopping) => return None,
            changed = self.pictures.changed() => {
                changed.ok()?;
                let picture = self.pictures.borrow_and_update().clone();
                block("state", &picture.state)
            }
            () = tokio::time::sleep(HEARTBEAT) => heartbeat(),
        };
        Some((chunk, self))
    }
}

/// `api/log-events`.
pub(crate) async fn logs(app: &Arc<App>, query: Option<&str>) -> Result<Response<Body>, Refusal> {
    let Some(service) = query::value(query, "service") else {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "missing query param \"service\""));
    };
    let [default, most] = LINES;
    let lines = query::number(query, "lines", default, [0, most]);
    if !app.live.picture().await.logs.contains_key(&service) {
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("there is no service {service:?} in this ledger"),
        ));
    }
    let place = place(app)?;
    let mut pictures = app.live.subscribe();
    pictures.mark_changed();
    let (stopping, app) = (app.stopping.clone(), app.clone());
    let (followed, first) = (Vec::new(), Some(lines));
    let logs = Following { app, service, followed, first, pictures, stopping, is_over: false, _place: place };
    Ok(event_stream(logs, Following::next))
}

/// The stream of lines of one service. Its logs change their place when it is started in another session.
struct Following {
    app: Arc<App>,
    service: String,
    followed: Vec<Followed>,
    /// Lines of the past that are to be told at first.
    first: Option<u64>,
    pictures: watch::Receiver<Arc<Picture>>,
    stopping: watch::Receiver<bool>,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

/// Why the wait for lines was over.
enum Woken {
    Picture,
    Look,
    Silence,
}

struct Followed {
    name: &'static str,
    tail: Tail,
    bell: Arc<Notify>,
}

impl Following {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if self.is_over {
            return None;
        }
        if let Some(lines) = self.first.take() {
            self.open(lines);
            return Some((json_block("begin", &json!({ "service": self.service })), self));
        }
        let mut silence = std::pin::pin!(tokio::time::sleep(HEARTBEAT));
        loop {
            // What was written before the place changed comes first.
            let (app, followed) = (self.app.clone(), std::mem::take(&mut self.followed));
            let reading = tokio::task::spawn_blocking(move || read(&app.access, followed));
            let (followed, chunk) = reading.await.ok()?;
            self.followed = followed;
            match chunk {
                Ok(chunk) if !chunk.is_empty() => return Some((chunk.into(), self)),
                Ok(_) => {}
                Err(message) => {
                    self.is_over = true;
                    return Some((json_block("refused", &json!({ "message": message })), self));
                }
            }
            let woken = tokio::select! {
                () = is_stopping(&mut self.stopping) => return None,
                changed = self.pictures.changed() => {
                    changed.ok()?;
                    Woken::Picture
                }
                () = rung(&self.followed) => Woken::Look,
                () = tokio::time::sleep(LOOK_ANYWAY) => Woken::Look,
                () = &mut silence => Woken::Silence,
            };
            match woken {
                Woken::Picture => self.open(0),
                Woken::Look => {}
                Woken::Silence => return Some((heartbeat(), self)),
            }
        }
    }

    /// Follows the logs where they are now. `lines` counts for those that are followed for the first time here; the logs of
    /// a new session are told whole.
    fn open(&mut self, lines: u64) {
        let picture = self.pictures.borrow_and_update().clone();
        let Some(Logs { stdout, stderr }) = picture.logs.get(&self.service) else { return };
        let is_first = self.followed.is_empty();
        let is_same = self.followed.iter().map(|one| one.tail.path()).eq([stdout.as_path(), stderr]);
        if is_same {
            return;
        }
        let follow = |name, path: &Path| {
            // A log that cannot be read says so when its lines are wanted.
            let from_last = if is_first { Tail::from_last(path, lines).ok() } else { None };
            let tail = from_last.unwrap_or_else(|| Tail::new(path));
            Followed { name, tail, bell: self.app.live.follow(path) }
        };
        self.followed = vec![follow("stdout", stdout), follow("stderr", stderr)];
    }
}

/// When one of the logs has grown.
async fn rung(followed: &[Followed]) {
    let bells: Vec<_> = followed.iter().map(|one| Box::pin(one.bell.notified())).collect();
    if bells.is_empty() {
        std::future::pending::<()>().await;
    }
    futures_util::future::select_all(bells).await;
}

/// New lines of all logs as one block; nothing if there are none.
fn read(access: &Access, mut followed: Vec<Followed>) -> (Vec<Followed>, Result<Vec<u8>, String>) {
    let mut chunk = Vec::new();
    for one in &mut followed {
        if std::fs::metadata(one.tail.path()).is_ok_and(|metadata| !access.may_show(&metadata)) {
            return (followed, Err(OWNERS_ONLY.to_owned()));
        }
        match one.tail.lines(MAX_READ_BYTES) {
            Ok(lines) if lines.is_empty() => {}
            Ok(lines) => {
                let line =
                    |line: &Vec<u8>| json!({ "stream": one.name, "text": String::from_utf8_lossy(line) });
                chunk.extend_from_slice(&json_block("lines", &lines.iter().map(line).collect::<Value>()));
            }
            Err(error) => {
                let message = format!("{}: {error}", one.tail.path().display());
                return (followed, Err(message));
            }
        }
        if one.tail.missed() {
            chunk.extend_from_slice(&json_block("missed", &json!({ "stream": one.name })));
        }
    }
    (followed, Ok(chunk))
}

fn place(app: &App) -> Result<OwnedSemaphorePermit, Refusal> {
    app.streams.clone().try_acquire_owned().map_err(|_| {
        let message = format!("there are {MAX_STREAMS} event streams; close another page of the console");
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message)
    })
}

/// An answer that goes on.
fn event_stream<S, F>(state: S, next: fn(S) -> F) -> Response<Body>
where
    S: Send + 'static,
    F: Future<Output = Option<(Bytes, S)>> + Send + 'static,
{
    let chunks = stream::unfold(state, move |state| async move {
        let (chunk, state) = next(state).await?;
        Some((Ok::<_, Infallible>(Frame::data(chunk)), state))
    });
    let body = StreamBody::new(chunks).map_err(|never| match never {}).boxed_unsync();
    let mut response = answer(StatusCode::OK, "text/event-stream", body);
    // A proxy in front must not collect what is to be delivered at once.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn json_block(event: &str, value: &Value) -> Bytes {
    block(event, value.to_string().as_bytes())
}

/// `data` is JSON, which has no line breaks of its own.
fn block(event: &str, data: &[u8]) -> Bytes {
    [b"event: ", event.as_bytes(), b"\ndata: ", data, b"\n\n"].concat().into()
}

fn heartbeat() -> Bytes {
    Bytes::from_static(b": heartbeat\n\n")
}
