//! Connections of the gateway: HTTP/1.1, as the original speaks.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tonic::transport::server::Connected;

use super::Gateway;
use super::linger::Linger;
use crate::listener::Connection;

/// How long the header of a request may take to arrive, and how long a connection may wait for its next one.
const MAX_HEADER_TIME: Duration = Duration::from_secs(10);
/// Largest header of a request, and most bytes of an answer that a connection holds beside it.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// Serves connections until there are no more of them and their requests have ended.
pub(crate) async fn serve(
    gateway: Gateway,
    connections: impl Stream<Item = std::io::Result<Connection>> + Send,
) {
    let open = GracefulShutdown::new();
    let mut connections = std::pin::pin!(connections);
    while let Some(connection) = connections.next().await {
        let Ok(connection) = connection else { continue };
        let (gateway, peer) = (gateway.clone(), connection.connect_info());
        let refused = Arc::new(AtomicBool::new(false));
        let connection = Linger::new(connection, refused.clone());
        let answer = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            let (gateway, refused) = (gateway.clone(), refused.clone());
            async move {
                let answer = gateway.answer(request).await;
                refused.store(answer.status().is_client_error(), Ordering::Relaxed);
                Ok::<_, Infallible>(answer)
            }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(MAX_HEADER_TIME)
            .max_buf_size(MAX_HEADER_BYTES)
            .serve_connection(TokioIo::new(connection), answer);
        let served = open.watch(served);
        tokio::spawn(async move {
            // A connection that breaks is the client's business; its requests have been answered or given up.
            let _ = served.await;
        });
    }
    open.shutdown().await;
}
