//! The gateway beside TLS on the gRPC listener (W27).

use rcgen::{CertificateParams, KeyPair};

use crate::curl::{Served, with_gateway};
use crate::support::Folder;

#[tokio::test]
async fn the_gateway_serves_beside_mutual_tls() {
    let folder = Folder::new("");
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["ledger.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let path = folder.path().display().to_string();
    std::fs::write(format!("{path}/cert.pem"), certificate.pem()).unwrap();
    std::fs::write(format!("{path}/key.pem"), key.serialize_pem()).unwrap();
    folder.configure(&with_gateway(&format!(
        "tls: {{cert: {path}/cert.pem, key: {path}/key.pem, ca: {path}/cert.pem}}"
    )));
    let served = Served::from(folder).await;
    assert_eq!(served.append("s", &["a"]).await, ["1"]);
    served.bare("GET", "/v1/health").run().await.ok();
}
