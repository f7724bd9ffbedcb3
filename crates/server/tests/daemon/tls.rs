//! TLS and mutual TLS.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

use crate::support::*;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn pem(&self) -> String {
        self.0.as_ref().pem()
    }
}

fn folder(authority: &Authority, is_mutual: bool) -> Folder {
    let folder = Folder::new("");
    let (cert, key) = authority.issue();
    for (name, pem) in [("cert.pem", &cert), ("key.pem", &key), ("ca.pem", &authority.pem())] {
        std::fs::write(folder.path().join(name), pem).unwrap();
    }
    let path = folder.path().display();
    let ca = if is_mutual { format!(", ca: {path}/ca.pem") } else { String::new() };
    folder.configure(&format!("tls: {{cert: {path}/cert.pem, key: {path}/key.pem{ca}}}"));
    folder
}

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
    let daemon = folder(&authority, false).start().await;
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
    let daemon = folder(&authority, true).start().await;
    let trusting = || ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
    let (cert, key) = authority.issue();
    read_over(&daemon, trusting().identity(Identity::from_pem(cert, key))).await.unwrap();
    assert!(read_over(&daemon, trusting()).await.is_err());
    let (cert, key) = Authority::new().issue();
    assert!(read_over(&daemon, trusting().identity(Identity::from_pem(cert, key))).await.is_err());
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_named_at_the_start() {
    let folder = folder(&Authority::new(), false);
    std::fs::write(folder.path().join("key.pem"), "no key").unwrap();
    let error = folder.bind().await.err().unwrap().to_string();
    assert!(error.contains("tls.key"), "{error}");
    std::fs::remove_file(folder.path().join("cert.pem")).unwrap();
    let error = folder.bind().await.err().unwrap().to_string();
    assert!(error.contains("tls.cert") && error.contains("cert.pem"), "{error}");
}
