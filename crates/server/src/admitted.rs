//! A call that has been let in, until its end.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::calls::Call;
use crate::guard::Caller;
use crate::limits::{Kind, Slot};
use crate::metrics::Metrics;

/// How long a call may take to its answer: whoever sends a request more slowly has no claim to the place that it takes.
/// A call that stays open has to begin in this time.
const MAX_CALL_TIME: Duration = Duration::from_secs(120);

/// Holds the place of a call and counts it when it is dropped, as cancelled unless it was said how it has ended.
pub(crate) struct Admitted {
    call: &'static Call,
    caller: Option<Caller>,
    metrics: Arc<Metrics>,
    begin: Instant,
    is_open: bool,
    code: Code,
    _slot: Slot,
}

impl Admitted {
    pub(crate) fn new(
        call: &'static Call,
        caller: Option<Caller>,
        slot: Slot,
        metrics: Arc<Metrics>,
    ) -> Self {
        let begin = Instant::now();
        Self { call, caller, metrics, begin, is_open: false, code: Code::Cancelled, _slot: slot }
    }

    /// Who makes it, if that matters.
    pub(crate) fn caller(&self) -> Option<Caller> {
        self.caller.clone()
    }

    /// Whether it has one answer.
    pub(crate) fn kind(&self) -> Kind {
        self.call.kind
    }

    /// Carries it out, in the time that its caller gives it, bounded. A panic fails it alone.
    ///
    /// # Errors
    /// The status to answer with if there is no other answer.
    pub(crate) async fn carry_out<F: Future>(
        &self,
        time_limit: Option<Duration>,
        work: F,
    ) -> Result<F::Output, Status> {
        let work = AssertUnwindSafe(work).catch_unwind();
        // Measured from the beginning, so that it ends before the transport's own limit, which would say `CANCELLED`.
        let deadline = self.begin + time_limit.unwrap_or(MAX_CALL_TIME).min(MAX_CALL_TIME);
        match tokio::time::timeout_at(deadline, work).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(_)) => {
                let rpc = self.call.name;
                tracing::error!(rpc, "a request failed by a fault of the program; it alone was ended");
                self.metrics.panicked();
                Err(Status::internal("internal error: the daemon has a fault; its log says more"))
            }
            Err(_) => Err(Status::deadline_exceeded("deadline exceeded")),
        }
    }

    /// It has been answered, and stays open until it is dropped.
    pub(crate) fn stays_open(mut self) -> Self {
        self.metrics.opened(self.call.name);
        self.is_open = true;
        self
    }

    /// How it has ended.
    pub(crate) fn ends(&mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if self.is_open {
            self.metrics.closed(self.call.name, self.code);
        } else {
            self.metrics.answered(self.call.name, self.code, self.begin.elapsed());
        }
    }
}

/// The body of an answer over gRPC that goes on: notices how the call ends.
pub(crate) struct OpenBody {
    inner: Body,
    call: Admitted,
}

impl OpenBody {
    pub(crate) fn new(inner: Body, call: Admitted) -> Self {
        Self { inner, call }
    }
}

impl http_body::Body for OpenBody {
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
                    self.call.ends(Code::from_bytes(code.as_bytes()));
                }
            }
            Poll::Ready(Some(Err(status))) => self.call.ends(status.code()),
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
