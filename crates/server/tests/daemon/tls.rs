//! TLS and mutual TLS.

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

use crate::certificates::Authority;
use crate::support::*;

fn tonic_identity(identity: ledger_api::Identity) -> Identity {
    Identity::from_pem(identity.certificate, identity.private_key)
}

async fn connect(daemon: &Daemon, tls: ClientTlsConfig) -> Result<Channel, String> {
    let endpoint = Channel::from_shared(format!("https://{}", daemon.address)).unwrap();
    let channel = endpoint.tls_config(tls.domain_name("localhost")).unwrap().connect().await;
    channel.map_err(|error| format!("{error:?}"))
}

async fn read_over(daemon: &Daemon, tls: ClientTlsConfig) -> Result<(), String> {
    let channel = connect(daemon, tls).await?;
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
    read_over(&daemon, trusting().identity(tonic_identity(authority.issue()))).await.unwrap();
    assert!(read_over(&daemon, trusting()).await.is_err());
    let stranger = Authority::new().issue();
    assert!(read_over(&daemon, trusting().identity(tonic_identity(stranger))).await.is_err());
}

#[tokio::test]
async fn a_client_certificate_has_to_be_in_its_time() {
    let authority = Authority::new();
    let daemon = authority.folder("", true).start().await;
    let trusting = || ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
    for (from_year, to_year) in [(1975, 2000), (3000, 4000)] {
        let client = authority.issue_for("client", from_year, to_year);
        let refused = read_over(&daemon, trusting().identity(tonic_identity(client))).await;
        assert!(refused.is_err(), "{from_year} to {to_year}");
    }
    let client = authority.issue_for("client", 1975, 4000);
    read_over(&daemon, trusting().identity(tonic_identity(client))).await.unwrap();
}

#[tokio::test]
async fn a_daemon_whose_certificate_is_not_in_its_time_or_for_another_name_serves_nobody_who_looks() {
    let authority = Authority::new();
    for (name, from_year, to_year) in
        [("localhost", 1975, 2000), ("localhost", 3000, 4000), ("elsewhere", 1975, 4000)]
    {
        let served = authority.issue_for(name, from_year, to_year);
        let daemon = authority.folder_with(&served, "", false).start().await;
        let trusting = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
        let error = read_over(&daemon, trusting).await.unwrap_err();
        assert!(error.to_lowercase().contains("certificate"), "{name} {from_year}: {error}");
    }
}

#[tokio::test]
async fn on_a_reload_new_connections_need_a_certificate_of_the_new_authority_and_old_ones_go_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let daemon = old.folder("", true).start().await;
    let identity = |authority: &Authority| tonic_identity(authority.issue());
    let trusting =
        |authority: &Authority| ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
    let mut before = Service::new(connect(&daemon, trusting(&old).identity(identity(&old))).await.unwrap());
    before.append(to(append("s", ["a"]))).await.unwrap();
    new.write_files(&new.issue(), daemon.folder.path());
    daemon.handle.reload(&daemon.folder.overrides()).unwrap();
    read_over(&daemon, trusting(&new).identity(identity(&new))).await.unwrap();
    assert!(
        read_over(&daemon, trusting(&new).identity(identity(&old))).await.is_err(),
        "of the old authority"
    );
    assert!(read_over(&daemon, trusting(&old).identity(identity(&new))).await.is_err(), "trusts the old one");
    assert_eq!(payloads(&mut before, "s").await, ["a"]);
    // What cannot be used changes nothing, and keys are reloaded all the same.
    std::fs::write(daemon.folder.path().join("ca.pem"), "no certificate").unwrap();
    daemon.handle.reload(&daemon.folder.overrides()).unwrap();
    read_over(&daemon, trusting(&new).identity(identity(&new))).await.unwrap();
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
