//! One connection, in clear or by TLS, that ends itself when its peer falls silent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::Permit;
use crate::limits::Slots;

/// A connection whose handshake is over.
pub(crate) struct Connection {
    io: Io,
    peer: Peer,
    patience: Patience,
    _permit: Permit,
}

/// Who is at the other end; an extension of every request of the connection.
#[derive(Clone)]
pub(crate) struct Peer {
    /// What its requests without a key of their own count against.
    pub(crate) slots: Arc<Slots>,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// In clear.
    pub(super) fn plain(
        stream: TcpStream,
        permit: Permit,
        opening: (Duration, usize),
        silence: Duration,
    ) -> Self {
        Self::new(Io::Plain(stream), permit, opening, silence)
    }

    /// By TLS.
    pub(super) fn tls(
        stream: TlsStream<TcpStream>,
        permit: Permit,
        opening: (Duration, usize),
        silence: Duration,
    ) -> Self {
        Self::new(Io::Tls(Box::new(stream)), permit, opening, silence)
    }

    fn new(io: Io, permit: Permit, opening: (Duration, usize), silence: Duration) -> Self {
        let peer = Peer { slots: Arc::default() };
        Self { io, peer, patience: Patience::new(opening, silence), _permit: permit }
    }
}

/// How long to wait for a peer.
struct Patience {
    sleep: Pin<Box<Sleep>>,
    /// Until when the first bytes have to be there, and how many are missing.
    opening: Option<(Instant, usize)>,
    last_sign: Instant,
    silence: Duration,
}

impl Patience {
    fn new((opening, bytes): (Duration, usize), silence: Duration) -> Self {
        let last_sign = Instant::now();
        let until = last_sign + opening;
        let sleep = Box::pin(tokio::time::sleep_until(until));
        Self { sleep, opening: Some((until, bytes)), last_sign, silence }
    }

    fn note_read(&mut self, bytes: usize) {
        self.note_sign(bytes);
        self.opening = match self.opening {
            Some((until, missing)) if missing > bytes => Some((until, missing.saturating_sub(bytes))),
            _ => None,
        };
    }

    fn note_sign(&mut self, bytes: usize) {
        if bytes > 0 {
            self.last_sign = Instant::now();
        }
    }

    /// Ready when there is none left. The timer is only set anew when it goes off: not on every read.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.sleep.as_mut().poll(context).is_ready() {
            let end = self.last_sign + self.silence;
            let end = self.opening.map_or(end, |(until, _)| until.min(end));
            if end <= Instant::now() {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(end);
        }
        Poll::Pending
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = match &mut this.io {
            Io::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Io::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if read.is_ready() {
            this.patience.note_read(buffer.filled().len().saturating_sub(before));
            return read;
        }
        this.patience.poll_end(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.io {
            Io::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Io::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        this.note_written(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.io {
            Io::Plain(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Io::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        };
        this.note_written(written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(stream) => stream.is_write_vectored(),
            Io::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(stream) => Pin::new(stream).poll_flush(context),
            Io::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl Connection {
    fn note_written(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.patience.note_sign(bytes);
        }
        written
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;
    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}
