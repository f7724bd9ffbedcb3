//! The services that tools expect beside our own.

use tokio_stream::{StreamExt, iter};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::*;

#[tokio::test]
async fn probes_need_no_key_and_follow_the_daemon() {
    let daemon = Daemon::start("api_key: s3cret").await;
    let mut health = HealthClient::new(daemon.channel().await);
    for service in ["", "ledger.v1.LedgerService", "ledger.v1.LedgerStreaming", "ledger.v1.LedgerConsumers"] {
        let answer = health.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap();
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving, "{service}");
    }
    let unknown = health.check(HealthCheckRequest { service: "x".to_owned() }).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);

    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    daemon.handle.stop();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(watch.message().await.unwrap().is_none());
    daemon.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn reflection_names_the_services_in_both_versions() {
    let daemon = Daemon::start("").await;
    use tonic_reflection::pb::{v1, v1alpha};
    let expected = [
        "ledger.v1.LedgerService",
        "ledger.v1.LedgerStreaming",
        "ledger.v1.LedgerConsumers",
        "grpc.health.v1.Health",
    ];

    let list = v1::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1::ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(daemon.channel().await);
    let mut answers = client.server_reflection_info(iter([request])).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    let v1::server_reflection_response::MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}")
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(expected.iter().all(|name| names.iter().any(|other| other == name)), "{names:?}");

    let list = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(daemon.channel().await);
    let mut answers = client.server_reflection_info(iter([request])).await.unwrap().into_inner();
    assert!(answers.next().await.unwrap().unwrap().message_response.is_some());
}

#[tokio::test]
async fn reflection_needs_a_key_where_there_is_one() {
    let daemon = Daemon::start("api_key: s3cret").await;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    let mut client = ServerReflectionClient::new(daemon.channel().await);
    let refused = client.server_reflection_info(Request::new(tokio_stream::empty())).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
}
