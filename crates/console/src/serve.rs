//! Listening: what may come in at once and how slowly, and the end.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::BASE;
use crate::access::{Access, Key};
use crate::events::MAX_STREAMS;
use crate::live::Live;
use crate::proxy::{Proxy, Upstreams};
use crate::routes::{self, App};

/// Connections that are open at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;
/// How long the head of a request may take, and how long a connection may wait for its next one.
const MAX_HEAD_TIME: Duration = Duration::from_secs(15);
/// Largest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// How long requests may go on after the end was asked for.
const MAX_END_TIME: Duration = Duration::from_secs(2);
/// Pause after a connection that could not be accepted, for want of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a traced request is told: one line of JSON.
pub type TraceSink = Arc<dyn Fn(&str) + Send + Sync>;

/// What a console is to be.
#[derive(Clone)]
pub struct Options {
    /// The ledger home. It need not be there yet.
    pub ledger_home: PathBuf,
    /// Name or address to listen on.
    pub host: String,
    /// Port; 0 for any that is free.
    pub port: u16,
    /// Whether paths that are not the console's lead to the services.
    pub proxy: bool,
    /// How old the picture of the ledger and the processes may get when no change was heard of.
    pub refresh: Duration,
    /// What opens the console.
    pub key: Option<Key>,
    /// Whether it may listen beyond this machine without a key.
    pub allow_insecure: bool,
    /// Where traces go.
    pub trace: TraceSink,
}

/// A console that cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsoleError {
    /// It would be open to the network.
    #[error(
        "yard: {address} can be reached from other machines, and there is no key; give one with --key-file, listen on \
         127.0.0.1, or force it with --allow-insecure"
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
    },
    /// It cannot listen there.
    #[error(
        "yard: cannot listen on {host}:{port}: {source}; another --port (0 takes a free one) or --host may do"
    )]
    Listen {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The operating system has no random numbers.
    #[error("yard: no random numbers for the cookie: {0}")]
    Random(std::io::Error),
}

/// A console that listens.
pub struct Console {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
    url: String,
    stop: watch::Sender<bool>,
}

impl Console {
    /// Listens, and reads the ledger for the first time.
    ///
    /// # Errors
    /// See [`ConsoleError`].
    pub async fn bind(options: Options) -> Result<Self, ConsoleError> {
        let Options { ledger_home, host, port, proxy, refresh, key, allow_insecure, trace } = options;
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let failed = |source| ConsoleError::Listen { host: host.clone(), port, source };
        let addresses: Vec<SocketAddr> =
            tokio::net::lookup_host((bare.as_str(), port)).await.map_err(failed)?.collect();
        let exposed = addresses.iter().find(|address| !address.ip().to_canonical().is_loopback());
        if let Some(address) = exposed.filter(|_| key.is_none() && !allow_insecure) {
            return Err(ConsoleError::Exposed { address: *address });
        }
        let listener = TcpListener::bind(addresses.as_slice()).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let access = Access::new(key, &bare, address.port()).map_err(ConsoleError::Random)?;
        let live = tokio::task::spawn_blocking(move || Live::new(ledger_home, proxy, refresh)).await;
        let live = live.map_err(|error| failed(std::io::Error::other(error)))?;
        let (stop, stopping) = watch::channel(false);
        let app = App {
            access,
            live: Arc::new(live),
            proxy: Proxy { is_on: proxy, tell_trace: trace },
            upstreams: Upstreams::new(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            stopping,
        };
        let shown = if bare.contains(':') { format!("[{bare}]") } else { bare };
        let url = format!("http://{shown}:{}", address.port());
        Ok(Self { app: Arc::new(app), listener, address, url, stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same for a browser, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The page.
    pub fn page(&self) -> String {
        format!("{}{BASE}/ui/", self.url)
    }

    /// Answers until `end` comes about; requests under way then have two seconds.
    pub async fn run(self, end: impl Future<Output = ()>) {
        let Self { app, listener, stop, .. } = self;
        let looking = tokio::spawn(app.live.clone().run());
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                accepted = accept(&listener, &room) => {
                    if let Some((stream, peer, place)) = accepted {
                        serve(&app, stream, peer, place);
                    }
                }
            }
        }
        drop(listener);
        stop.send_replace(true);
        // When all places are free again, all connections are closed.
        let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(MAX_END_TIME, room.acquire_many(all)).await;
        looking.abort();
    }
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(_) => {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

fn serve(app: &Arc<App>, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
    // Without it small answers wait for acknowledgements; a connection that cannot have it works all the same.
    let _ = stream.set_nodelay(true);
    let (app, mut stopping) = (app.clone(), app.stopping.clone());
    let answer = service_fn(move |request: Request<Incoming>| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(routes::answer(app, request, peer).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(MAX_HEAD_TIME)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_header_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    tokio::spawn(async move {
        let mut served = std::pin::pin!(served);
        // A connection that breaks is the client's business; its requests have been answered or given up.
        tokio::select! {
            _ = served.as_mut() => {}
            () = routes::is_stopping(&mut stopping) => {
                served.as_mut().graceful_shutdown();
                let _ = served.await;
            }
        }
        drop(place);
    });
}
