//! TLS and mutual TLS.

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

use crate::certificates::Authority;
use crate::support::*;

async fn read_over(daemon: &Daemon, tls: ClientTlsConfig) -> Result<(), String> {
    let endpoint = Channel::from_shared(format!("https://{}", daemon.address)).unwrap();
    let channel = endpoint.tls_config(tls.domain_name("localhost")).unwrap().connect().await;
    let channel = channel.map_err(|error| error.to_string())?;
    let answer = Service::new(channel).read(to(read("s"))).await;
    answer.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn tls_serves_those_who_trust_it_and_nobody_in_clear() {
    let authority = Authority::new();
    let daemon = authority.folder("", false).start().await;
    let trusting = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
    read_over(&daemon, trusting).await.unwrap();
    let other = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(Authority::new().pem()));
    assert!(read_over(&daemon, other).await.is_err());
    let clear = Channel::from_shared(format!("http://{}", daemon.address)).unwrap().connect_lazy();
    assert!(Service::new(clear).read(to(read("s"))).await.is_err());
}

#[tokio::test]
async fn mutual_tls_wants_a_certificate_of_its_authority() {
    let authority = Authority::new();
    let daemon = authority.folder("", true).start().await;
    let trusting = || ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
    let ledger_api::Identity { certificate, private_key } = authority.issue();
    read_over(&daemon, trusting().identity(Identity::from_pem(certificate, private_key))).await.unwrap();
    assert!(read_over(&daemon, trusting()).await.is_err());
    let ledger_api::Identity { certificate, private_key } = Authority::new().issue();
    assert!(
        read_over(&daemon, trusting().identity(Identity::from_pem(certificate, private_key))).await.is_err()
    );
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_named_at_the_start() {
    let folder = Authority::new().folder("", false);
    std::fs::write(folder.path().join("key.pem"), "no key").unwrap();
    let error = folder.bind().await.err().unwrap().to_string();
    assert!(error.contains("tls.key"), "{error}");
    std::fs::remove_file(folder.path().join("cert.pem")).unwrap();
    let error = folder.bind().await.err().unwrap().to_string();
    assert!(error.contains("tls.cert") && error.contains("cert.pem"), "{error}");
}
