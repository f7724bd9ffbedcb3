//! `grpc.health.v1`: for orchestrators. Ready means that the database answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::Context;

/// How long the database may take to answer.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// What can be asked about; the empty name is the whole daemon.
const SERVICES: [&str; 4] =
    ["", "ledger.v1.LedgerService", "ledger.v1.LedgerStreaming", "ledger.v1.LedgerConsumers"];

/// The health service.
pub(crate) fn probes(context: Arc<Context>) -> HealthServer<Probes> {
    HealthServer::new(Probes { context })
}

/// Answers probes.
pub(crate) struct Probes {
    context: Arc<Context>,
}

impl Context {
    /// Whether the daemon is not about to stop, and the database answers.
    pub(crate) async fn is_ready(&self) -> bool {
        if *self.stopping.borrow() {
            return false;
        }
        match tokio::time::timeout(MAX_WAIT, self.registry.check_health()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(err = %error, "health check failed");
                false
            }
            Err(_) => {
                tracing::warn!(err = "the database does not answer", "health check failed");
                false
            }
        }
    }

    async fn serving_status(&self) -> HealthCheckResponse {
        let status = if self.is_ready().await { ServingStatus::Serving } else { ServingStatus::NotServing };
        HealthCheckResponse { status: status.into() }
    }
}

#[tonic::async_trait]
impl Health for Probes {
    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = &request.get_ref().service;
        if !SERVICES.contains(&service.as_str()) {
            return Err(Status::not_found("service not registered"));
        }
        Ok(Response::new(self.context.serving_status().await))
    }

    /// Tells the status now, and once more when the daemon is about to stop.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (answers, stream) = mpsc::channel(2);
        let is_known = SERVICES.contains(&request.get_ref().service.as_str());
        let context = self.context.clone();
        tokio::spawn(async move {
            let now = if is_known {
                context.serving_status().await
            } else {
                HealthCheckResponse { status: ServingStatus::ServiceUnknown.into() }
            };
            let mut stopping = context.stopping.clone();
            let stop = async move { stopping.wait_for(|stopping| *stopping).await.is_ok() };
            if answers.send(Ok(now)).await.is_err() {
                return;
            }
            tokio::select! {
                () = answers.closed() => {}
                _ = stop => {
                    let last = HealthCheckResponse { status: ServingStatus::NotServing.into() };
                    let _ = answers.send(Ok(last)).await;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::keys::Keyring;
    use crate::listener::Admission;
    use crate::metrics::Metrics;
    use crate::registry::Registry;

    #[tokio::test]
    async fn a_daemon_whose_database_does_not_answer_is_not_ready() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let database = ledger_sqlite::Database::open(&path).connect().await.unwrap();
        let keyring = Keyring::load(&Config::defaults(folder.path()), folder.path()).unwrap();
        let (_stop, stopping) = tokio::sync::watch::channel(false);
        let context = Context {
            registry: Registry::new(database.clone()),
            max_message_bytes: 1 << 20,
            stopping,
            keys: tokio::sync::watch::channel(Arc::new(keyring)).1,
            metrics: Metrics::new(Admission::new(1), database.clone()),
            session_bytes: Default::default(),
        };
        assert!(context.is_ready().await, "no store was opened, and yet the database was asked");
        database.close().await;
        assert!(!context.is_ready().await);
    }
}
