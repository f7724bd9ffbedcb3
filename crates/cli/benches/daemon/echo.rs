//! The calibration of calls: an empty tonic service in a process of its own.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::uri::PathAndQuery;
use ledger_api::convert::{append_request, appended};
use ledger_streams::{Append, Appended, Durability, Expect};
use prost::Message as _;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::common::load::{SLICE, STREAM};
use crate::common::support::payload;

/// What this program is called with to be the service.
pub(crate) const PROCESS: &str = "echo-service";
const PATH: &str = "/bench.Echo/Echo";

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(bytes = "bytes", tag = "1")]
    body: Bytes,
}

/// A message that takes so many bytes.
fn message_of(bytes: usize) -> Message {
    let framing = Message { body: vec![0; bytes].into() }.encoded_len() - bytes;
    Message { body: vec![0; bytes - framing].into() }
}

/// As large as the request of an append of one entry.
fn request() -> Message {
    message_of(append_request::<i64>(STREAM, vec![Append::new(payload())], &Expect::Any).encoded_len())
}

/// As large as the answer to such a request.
fn answer() -> Message {
    let answer = Appended { ids: vec![1_000_000_i64], ..Appended::nothing(Durability::Synced) };
    message_of(appended(&answer).encoded_len())
}

#[derive(Clone)]
struct Echo {
    answer: Message,
}

impl NamedService for Echo {
    const NAME: &'static str = "bench.Echo";
}

impl UnaryService<Message> for Echo {
    type Response = Message;
    type Future = Ready<Result<Response<Message>, Status>>;

    fn call(&mut self, _request: Request<Message>) -> Self::Future {
        ready(Ok(Response::new(self.answer.clone())))
    }
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(echo, request).await) })
    }
}

/// The process: says where it listens, and serves until its standard input ends.
pub(crate) async fn serve() {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap().with_nodelay(Some(true));
    println!("{}", incoming.local_addr().unwrap());
    let parent_is_gone = tokio::task::spawn_blocking(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
    });
    let server = Server::builder().add_service(Echo { answer: answer() });
    let stop = async move { drop(parent_is_gone.await) };
    server.serve_with_incoming_shutdown(incoming, stop).await.unwrap();
}

/// The service in a process of its own, and a connection to it.
pub(crate) struct EchoProcess {
    child: Child,
    channel: Channel,
}

impl EchoProcess {
    pub(crate) async fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let command = command.arg(PROCESS).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{}", address.trim_end())).unwrap();
        Self { child, channel: endpoint.connect().await.unwrap() }
    }

    /// Calls per second with so many in flight.
    pub(crate) async fn calls_per_second(&self, in_flight: usize) -> f64 {
        let answered = Arc::new(AtomicU64::new(0));
        let start = Instant::now();
        let tasks: Vec<_> = (0..in_flight)
            .map(|_| {
                let (channel, answered, request) = (self.channel.clone(), answered.clone(), request());
                tokio::spawn(async move {
                    let mut client = tonic::client::Grpc::new(channel);
                    while start.elapsed() < SLICE {
                        client.ready().await.unwrap();
                        let codec = ProstCodec::<Message, Message>::default();
                        let path = PathAndQuery::from_static(PATH);
                        client.unary(Request::new(request.clone()), path, codec).await.unwrap();
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        answered.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
    }
}

impl Drop for EchoProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
