//! The way in: one accept loop for every listener of the daemon.
//!
//! ```text
//! accept ─► admission (room for one more?) ─► socket options ─► TLS handshake ─► Connection ─► gRPC or HTTP
//! ```
//!
//! | what a client does | what bounds it |
//! |---|---|
//! | opens too many connections | `max_connections`; one address, loopback excepted, has half of them |
//! | connects and says nothing, or drips its TLS handshake | [`Timing::handshake`], [`Timing::opening`] |
//! | falls silent later | [`Timing::silence`]; gRPC notices earlier by its pings, HTTP by the time for headers |
//! | is gone without a word, or takes nothing of what it was sent | TCP keep-alive and `TCP_USER_TIMEOUT` |
//! | makes the process run out of descriptors | accepting pauses, grows patient and goes on |
//!
//! [`Incoming`] yields connections whose handshake is over, so whoever serves them needs to know nothing of TLS. A
//! handshake runs beside the loop: a slow one holds up nobody.

mod admission;
mod connection;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

pub(crate) use admission::{Admission, Permit};
pub(crate) use connection::{Connection, Peer};
pub(crate) use tls::Certificates;
pub use tls::TlsError;

/// Connections that are ready and wait to be served.
const MAX_READY: usize = 64;
/// How long accepting pauses when the operating system has no room, first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// Silence after which TCP asks whether the peer is still there, how often it asks again, and how many times.
const TCP_KEEP_ALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);
/// How long a peer may leave what it was sent unacknowledged, or its window shut, in milliseconds.
const TCP_USER_TIMEOUT_MS: u32 = 60_000;

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/2 alone.
    Grpc,
    /// HTTP/1.1.
    Http,
}

impl Protocol {
    /// What TLS offers, the dearest first.
    fn alpn(self) -> Vec<Vec<u8>> {
        match self {
            Self::Grpc => vec![b"h2".to_vec()],
            Self::Http => vec![b"http/1.1".to_vec()],
        }
    }

    /// Bytes that no first request goes without: the preface of HTTP/2, the line of a request to `/`.
    fn opening_bytes(self) -> usize {
        match self {
            Self::Grpc => 24,
            Self::Http => 16,
        }
    }
}

/// How long clients may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// For the TLS handshake.
    pub(crate) handshake: Duration,
    /// From the handshake to the first bytes of a request.
    pub(crate) opening: Duration,
    /// Between two signs of life, in either direction.
    pub(crate) silence: Duration,
}

impl Timing {
    /// What the daemon grants.
    pub(crate) const DEFAULT: Self = Self {
        handshake: Duration::from_secs(10),
        opening: Duration::from_secs(10),
        // Longer than any single call may take (`guard::MAX_CALL_TIME`): HTTP has no pings.
        silence: Duration::from_secs(150),
    };
}

/// An address that is taken and not yet served.
pub(crate) struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes an address.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) async fn bind(address: &str) -> std::io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        let address = tcp.local_addr()?;
        Ok(Self { tcp, address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to accept, until `stopping` is true or nobody takes the connections any more; then the address is free.
    pub(crate) fn accept(
        self,
        protocol: Protocol,
        admission: Arc<Admission>,
        certificates: Option<Arc<Certificates>>,
        timing: Timing,
        stopping: watch::Receiver<bool>,
    ) -> Incoming {
        let (ready, connections) = mpsc::channel(MAX_READY);
        let reception = Reception { protocol, certificates, timing, ready };
        tokio::spawn(accept_until(stopping, self.tcp, admission, reception));
        ReceiverStream::new(connections)
    }
}

/// Connections that are ready to be served. It ends when accepting ends.
pub(crate) type Incoming = ReceiverStream<std::io::Result<Connection>>;

async fn accept_until(
    mut stopping: watch::Receiver<bool>,
    tcp: TcpListener,
    admission: Arc<Admission>,
    reception: Reception,
) {
    tokio::select! {
        _ = stopping.wait_for(|stopping| *stopping) => {}
        () = reception.ready.closed() => {}
        () = accept_for_ever(&tcp, &admission, &reception) => {}
    }
}

async fn accept_for_ever(tcp: &TcpListener, admission: &Arc<Admission>, reception: &Reception) {
    let mut pause = PAUSES.0;
    loop {
        match tcp.accept().await {
            Ok((stream, address)) => {
                pause = PAUSES.0;
                // A connection that finds no room is closed by being dropped: its client knows at once.
                if let Some(permit) = admission.admit(address.ip()) {
                    tokio::spawn(reception.clone().receive(stream, address, permit));
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if pause == PAUSES.0 {
                    tracing::warn!(err = %error, "no connection can be accepted for now");
                }
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(PAUSES.1);
            }
        }
    }
}

/// Whether a failed accept says nothing about the next one: that client was gone again before its turn.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionReset | Kind::Interrupted)
}

/// What happens to a connection between the accept loop and the service.
#[derive(Clone)]
struct Reception {
    protocol: Protocol,
    certificates: Option<Arc<Certificates>>,
    timing: Timing,
    ready: mpsc::Sender<std::io::Result<Connection>>,
}

impl Reception {
    async fn receive(self, stream: TcpStream, address: SocketAddr, permit: Permit) {
        if let Err(error) = set_options(&stream) {
            tracing::debug!(err = %error, "socket options");
        }
        let opening = (self.timing.opening, self.protocol.opening_bytes());
        let connection = match &self.certificates {
            None => Connection::plain(stream, permit, opening, self.timing.silence),
            Some(certificates) => {
                let handshake = certificates.acceptor(self.protocol).accept(stream);
                match tokio::time::timeout(self.timing.handshake, handshake).await {
                    Ok(Ok(stream)) => Connection::tls(stream, permit, opening, self.timing.silence),
                    Ok(Err(error)) => {
                        tracing::debug!(peer = %address, err = %error, "TLS handshake failed");
                        return;
                    }
                    Err(_) => {
                        tracing::debug!(peer = %address, "TLS handshake took too long");
                        return;
                    }
                }
            }
        };
        let _ = self.ready.send(Ok(connection)).await;
    }
}

/// Small answers leave at once; peers that are gone are noticed.
fn set_options(stream: &TcpStream) -> std::io::Result<()> {
    let (idle, interval, probes) = TCP_KEEP_ALIVE;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, idle)?;
    sockopt::set_tcp_keepintvl(stream, interval)?;
    sockopt::set_tcp_keepcnt(stream, probes)?;
    sockopt::set_tcp_user_timeout(stream, TCP_USER_TIMEOUT_MS)?;
    Ok(())
}

#[cfg(test)]
mod tests;
