//! Closing a connection whose client is still sending.
//!
//! A client that is refused before its body was read may not notice until it has sent more. Were its connection closed at
//! once, the system would answer those bytes with a reset, and a reset takes the refusal away from a client that has not
//! read it yet. So only our half is closed, and what still comes is thrown away for a while (RFC 9112, section 9.6).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a client that was refused may take to notice.
const MAX_LINGER: Duration = Duration::from_secs(2);
/// Bytes that are thrown away at a time.
const SCRATCH_BYTES: usize = 16 << 10;

/// A connection that does not close on a client that was refused before it has read so.
pub(super) struct Linger<S> {
    io: S,
    refused: Arc<AtomicBool>,
    is_shut: bool,
    until: Option<Pin<Box<Sleep>>>,
}

impl<S> Linger<S> {
    /// `refused` tells, at the end of the connection, whether its last answer was a refusal.
    pub(super) fn new(io: S, refused: Arc<AtomicBool>) -> Self {
        Self { io, refused, is_shut: false, until: None }
    }
}

impl<S: AsyncRead + Unpin> Linger<S> {
    /// Ready when the client has closed its half, or had its time.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(MAX_LINGER)));
        let mut scratch = [0; SCRATCH_BYTES];
        while until.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Linger<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Linger<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_shut {
            ready!(Pin::new(&mut this.io).poll_shutdown(context))?;
            this.is_shut = true;
        }
        if this.refused.load(Ordering::Relaxed) {
            this.poll_end(context).map(Ok)
        } else {
            Poll::Ready(Ok(()))
        }
    }
}
