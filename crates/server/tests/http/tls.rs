//! TLS and mutual TLS on the gateway (W27, W28).

use crate::certificates::Authority;
use crate::curl::{Answer, Served, with_gateway};
use crate::support::Folder;

async fn serve(authority: &Authority, more: &str) -> Served {
    let folder = Folder::new("");
    folder.configure(&with_gateway(&authority.settings(&authority.issue(), folder.path(), more)));
    Served::from(folder).await
}

impl Served {
    /// Writes what a client needs into the folder of the daemon; answers the flags of `curl` for it.
    fn identity(&self, name: &str, authority: &Authority) -> Vec<String> {
        let issued = authority.issue();
        let path =
            |kind: &str| self.daemon.folder.path().join(format!("{name}-{kind}.pem")).display().to_string();
        std::fs::write(path("cert"), issued.certificate).unwrap();
        std::fs::write(path("key"), issued.private_key).unwrap();
        vec!["--cert".to_owned(), path("cert"), "--key".to_owned(), path("key")]
    }

    /// Asks by TLS, trusting an authority; `None` if there is no connection.
    async fn ask(&self, trusted: &Authority, flags: &[String]) -> Option<Answer> {
        let file = self.daemon.folder.path().join("trusted.pem").display().to_string();
        std::fs::write(&file, trusted.pem()).unwrap();
        let resolve = format!("localhost:{}:{}", self.http.port(), self.http.ip());
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let flags = [&["--cacert", &file, "--resolve", &resolve][..], &flags].concat();
        self.secure("GET", "/v1/health").with(&flags).try_run().await
    }
}

#[tokio::test]
async fn with_a_certificate_the_gateway_serves_by_tls_alone() {
    let authority = Authority::new();
    let served = serve(&authority, "").await;
    served.ask(&authority, &[]).await.unwrap().ok();
    assert!(served.ask(&Authority::new(), &[]).await.is_none(), "it is not trusted");
    assert!(served.bare("GET", "/v1/health").try_run().await.is_none(), "not in clear");
}

#[tokio::test]
async fn mutual_tls_holds_on_the_gateway_too_and_certificates_can_be_replaced() {
    let (old, new) = (Authority::new(), Authority::new());
    let served = serve(&old, ", ca: ca.pem").await;
    let (of_old, of_new) = (served.identity("old", &old), served.identity("new", &new));
    served.ask(&old, &of_old).await.unwrap().ok();
    assert!(served.ask(&old, &of_new).await.is_none());
    assert!(served.ask(&old, &[]).await.is_none(), "a certificate is compulsory");
    let folder = &served.daemon.folder;
    new.write_files(&new.issue(), folder.path());
    served.daemon.handle.reload(&folder.overrides()).unwrap();
    served.ask(&new, &of_new).await.unwrap().ok();
    assert!(served.ask(&new, &of_old).await.is_none());
}

#[tokio::test]
async fn the_gateway_can_be_left_in_clear_beside_mutual_tls_as_in_the_original() {
    let served = serve(&Authority::new(), ", ca: ca.pem, http: false").await;
    assert_eq!(served.append("s", &["a"]).await, ["1"]);
    served.bare("GET", "/v1/health").run().await.ok();
}
