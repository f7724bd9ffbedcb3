//! Fewer and larger writes on a connection that many calls share.
//!
//! Calls of one connection finish together: one commit answers hundreds of appends, one page wakes hundreds of
//! callers. The first of them to hand over its frames wakes the task of the connection, which runs at once, ahead of
//! the others, and makes a system call for this frame alone; so does the next. [`Coalesced`] lets that task go to the
//! end of the queue of its runtime before it begins to write. By then everybody who was ready has handed over what it
//! has, and one system call takes it all. No timer is involved: with nobody else ready the write follows immediately.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that lets other tasks run once before it begins to write.
///
/// A burst of writes ends when it is flushed; only the first write of each waits.
#[derive(Debug)]
pub struct Coalesced<C> {
    connection: C,
    in_burst: bool,
}

impl<C> Coalesced<C> {
    /// Coalesces the writes of a connection, which should send at once what it gets (`TCP_NODELAY`).
    pub fn new(connection: C) -> Self {
        Self { connection, in_burst: false }
    }

    fn begin_burst(&mut self, context: &Context<'_>) -> Poll<()> {
        if self.in_burst {
            return Poll::Ready(());
        }
        self.in_burst = true;
        // A task that wakes itself goes to the end of the queue.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Coalesced<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_read(context, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Coalesced<C> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.begin_burst(context) {
            Poll::Ready(()) => Pin::new(&mut this.connection).poll_write(context, bytes),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.begin_burst(context) {
            Poll::Ready(()) => Pin::new(&mut this.connection).poll_write_vectored(context, parts),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.connection).poll_flush(context);
        this.in_burst &= flushed.is_pending();
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_shutdown(context)
    }
}

#[cfg(feature = "server")]
impl<C: tonic::transport::server::Connected> tonic::transport::server::Connected for Coalesced<C> {
    type ConnectInfo = C::ConnectInfo;

    fn connect_info(&self) -> C::ConnectInfo {
        self.connection.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::AsyncWriteExt;
    use tokio::sync::Mutex;

    use super::*;

    /// Counts the writes that reach it.
    #[derive(Clone, Default)]
    struct Counted(Arc<AtomicUsize>);

    impl AsyncWrite for Counted {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Poll::Ready(Ok(bytes.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn whoever_is_ready_comes_before_the_first_write_of_a_burst_and_not_between_its_writes() {
        let written = Counted::default();
        let mut connection = Coalesced::new(written.clone());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let look = |burst: u8| {
            let (seen, writes) = (seen.clone(), written.0.clone());
            tokio::spawn(async move { seen.lock().await.push((burst, writes.load(Ordering::Relaxed))) });
        };
        for burst in 1..=2 {
            look(burst);
            connection.write_all(b"frame").await.unwrap();
            look(burst);
            connection.write_all(b"frame").await.unwrap();
            connection.flush().await.unwrap();
        }
        tokio::task::yield_now().await;
        assert_eq!(*seen.lock().await, [(1, 0), (1, 2), (2, 2), (2, 4)]);
    }
}
