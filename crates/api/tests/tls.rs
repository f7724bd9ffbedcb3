//! The client over TLS, with certificates made for the test.
#![allow(clippy::unwrap_used, reason = "it is test code")]

mod common;

use bytes::Bytes;
use common::{Daemon, Service};
use ledger_api::{Client, ClientBuilder, ClientError, Identity, Tls};
use ledger_streams::{Append, Expect, MemoryStore, Store};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tonic::transport::{Certificate, Server, ServerTlsConfig};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem().into_bytes();
        Identity { certificate, private_key: key.serialize_pem().into_bytes() }
    }
}

/// A daemon that is `localhost`, and that asks for certificates of this authority.
async fn daemon(authority: &Authority, of_clients: Option<&Authority>) -> Daemon {
    let Identity { certificate, private_key } = authority.identity("localhost");
    let identity = tonic::transport::Identity::from_pem(certificate, private_key);
    let mut tls = ServerTlsConfig::new().identity(identity);
    if let Some(of_clients) = of_clients {
        tls = tls.client_ca_root(Certificate::from_pem(of_clients.pem()));
    }
    let server = Server::builder().tls_config(tls).unwrap();
    Daemon::serve_on(server, Service::new(MemoryStore::new("orders").unwrap()), "127.0.0.1:0").await
}

fn client(daemon: &Daemon) -> ClientBuilder<i64> {
    Client::at(format!("localhost:{}", daemon.address.port())).store("orders")
}

fn trusting(authority: &Authority) -> Tls {
    Tls { ca: Some(authority.pem()), ..Tls::default() }
}

async fn append(client: &Client<i64>) -> Result<(), ledger_streams::StoreError> {
    client.append("s", vec![Append::new(Bytes::from_static(b"x"))], Expect::Any).await.map(drop)
}

#[tokio::test]
async fn a_daemon_with_a_trusted_certificate_is_served() {
    let authority = Authority::new();
    let daemon = daemon(&authority, None).await;
    let client = client(&daemon).tls(trusting(&authority)).connect().await.unwrap();
    assert!(client.address().starts_with("https://"));
    append(&client).await.unwrap();
}

#[tokio::test]
async fn a_daemon_with_a_certificate_of_another_authority_is_not_trusted() {
    let daemon = daemon(&Authority::new(), None).await;
    let error = client(&daemon).tls(trusting(&Authority::new())).connect().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_daemon_of_another_name_is_not_trusted_unless_that_is_wanted() {
    let authority = Authority::new();
    let daemon = daemon(&authority, None).await;
    let by_address = || Client::<i64>::at(daemon.address.to_string()).store("orders");
    let error = by_address().tls(trusting(&authority)).connect().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    let tls = Tls { domain: Some("localhost".to_owned()), ..trusting(&authority) };
    append(&by_address().tls(tls).connect().await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_daemon_that_asks_for_a_certificate_gets_it() {
    let (authority, of_clients) = (Authority::new(), Authority::new());
    let daemon = daemon(&authority, Some(&of_clients)).await;
    let with = |identity| client(&daemon).tls(Tls { identity, ..trusting(&authority) });
    let known = with(Some(of_clients.identity("somebody"))).connect().await.unwrap();
    append(&known).await.unwrap();
    for identity in [None, Some(authority.identity("somebody"))] {
        // The daemon refuses after the client has finished its part of the handshake.
        let refused = match with(identity).retry_for(std::time::Duration::ZERO).connect().await {
            Ok(client) => append(&client).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        assert!(refused.is_err());
    }
    assert_eq!(daemon.store.count("s").await.unwrap(), 1);
}

#[tokio::test]
async fn plain_and_encrypted_do_not_mix_silently() {
    let plain = Daemon::start().await;
    let error = client(&plain).tls(trusting(&Authority::new())).connect().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    let error = Client::<i64>::at("http://localhost:1").tls(Tls::default()).lazy().unwrap_err();
    assert!(matches!(error, ClientError::InvalidTls { .. }), "{error:?}");
    let broken = Tls {
        ca: Some(b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n".to_vec()),
        ..Tls::default()
    };
    let error = Client::<i64>::at("localhost:1").tls(broken).lazy().unwrap_err();
    assert!(matches!(error, ClientError::InvalidTls { .. }), "{error:?}");
}
