//! TLS and mutual TLS on the gateway (W27, W28).

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

use crate::curl::{Curl, Served, with_gateway};
use crate::support::Folder;

/// A folder with a certificate of an authority for the daemon, and one for a client.
fn folder(tls: &str) -> Folder {
    let folder = Folder::new("");
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.as_ref().pem()).unwrap();
    // Not the name of any address: nobody dials the daemon's own service.
    for (name, host) in [("server", "ledger.example"), ("client", "somebody")] {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        std::fs::write(folder.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    let path = folder.path().display();
    let yaml = tls.replace("{path}", &path.to_string());
    folder.configure(&with_gateway(&yaml));
    folder
}

const SERVER: &str = "cert: '{path}/server.pem', key: '{path}/server.key'";
const AUTHORITY: &str = "ca: '{path}/ca.pem'";

fn count(served: &Served, scheme: &str) -> Curl {
    let port = served.http.port();
    let url = format!("{scheme}://ledger.example:{port}/v1/streams/s/entries:count");
    let resolve = format!("ledger.example:{port}:127.0.0.1");
    served.curl("GET", "").at(&url).with(&["--resolve", &resolve])
}

fn trusting(curl: Curl, folder: &Path) -> Curl {
    curl.with(&["--cacert", &folder.join("ca.pem").display().to_string()])
}

fn with_certificate(curl: Curl, folder: &Path) -> Curl {
    let file = |name: &str| folder.join(name).display().to_string();
    curl.with(&["--cert", &file("client.pem"), "--key", &file("client.key")])
}

#[tokio::test]
async fn the_gateway_has_the_certificate_of_the_daemon_and_speaks_to_nobody_in_clear() {
    let served = Served::from(folder(&format!("tls: {{{SERVER}}}"))).await;
    let path = served.daemon.folder.path();
    assert_eq!(trusting(count(&served, "https"), path).run().await.ok()["count"], "0");
    assert!(count(&served, "https").fails().await.contains("certificate"));
    count(&served, "http").fails().await;
}

#[tokio::test]
async fn mutual_tls_holds_on_the_gateway_too() {
    let served = Served::from(folder(&format!("tls: {{{SERVER}, {AUTHORITY}}}"))).await;
    let path = served.daemon.folder.path();
    let known = with_certificate(trusting(count(&served, "https"), path), path);
    assert_eq!(known.run().await.ok()["count"], "0");
    trusting(count(&served, "https"), path).fails().await;
}

#[tokio::test]
async fn a_gateway_in_clear_beside_mutual_tls_serves_too() {
    let served = Served::from(folder(&format!("http_tls: false\ntls: {{{SERVER}, {AUTHORITY}}}"))).await;
    assert_eq!(served.append("s", &["a"]).await, ["1"]);
    assert_eq!(count(&served, "http").run().await.ok()["count"], "1");
}
