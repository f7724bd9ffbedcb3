//! Certificates made for a test.

use ledger_api::Identity;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::support::Folder;

/// Issues certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    /// A certificate for `localhost`, and its key.
    pub(crate) fn issue(&self) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem().into_bytes();
        Identity { certificate, private_key: key.serialize_pem().into_bytes() }
    }

    /// A folder with a configuration that has these lines and TLS with a certificate of this authority; if it is
    /// mutual, clients need one as well.
    pub(crate) fn folder(&self, yaml: &str, is_mutual: bool) -> Folder {
        let folder = Folder::new("");
        let Identity { certificate, private_key } = self.issue();
        let files =
            [("cert.pem", certificate), ("key.pem", private_key), ("ca.pem", self.pem().into_bytes())];
        for (name, pem) in files {
            std::fs::write(folder.path().join(name), pem).unwrap();
        }
        let path = folder.path().display();
        let ca = if is_mutual { format!(", ca: {path}/ca.pem") } else { String::new() };
        folder.configure(&format!("{yaml}\ntls: {{cert: {path}/cert.pem, key: {path}/key.pem{ca}}}"));
        folder
    }
}
