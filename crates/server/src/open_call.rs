//! A call that stays open, from its first message to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::limits::Slot;
use crate::metrics::Metrics;

/// The body of its answer: counts the call as open as long as it lives, and holds its place.
pub(crate) struct OpenCall {
    inner: Body,
    name: &'static str,
    metrics: Arc<Metrics>,
    /// How it has ended; as long as it has not, dropping it means that its client is gone.
    code: Code,
    _slot: Slot,
}

impl OpenCall {
    /// Puts itself around the body of an answer.
    pub(crate) fn wrap(
        answer: Response<Body>,
        name: &'static str,
        metrics: Arc<Metrics>,
        slot: Slot,
    ) -> Response<Body> {
        metrics.opened(name);
        answer.map(|inner| Body::new(Self { inner, name, metrics, code: Code::Cancelled, _slot: slot }))
    }
}

impl http_body::Body for OpenCall {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(code) = frame.trailers_ref().and_then(|trailers| trailers.get("grpc-status")) {
                    self.code = Code::from_bytes(code.as_bytes());
                }
            }
            Poll::Ready(Some(Err(status))) => self.code = status.code(),
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.metrics.closed(self.name, self.code);
    }
}
