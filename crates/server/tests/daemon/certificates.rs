//! Certificates made for a test.

use std::path::Path;

use ledger_api::Identity;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

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
        self.issue_for("localhost", 1975, 4000)
    }

    /// One for another name, or for other years.
    pub(crate) fn issue_for(&self, name: &str, from_year: i32, to_year: i32) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        // Not the name of the authority: OpenSSL would take it for one that signs itself.
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(from_year, 1, 1);
        params.not_after = date_time_ymd(to_year, 1, 1);
        let certificate = params.signed_by(&key, &self.0).unwrap().pem().into_bytes();
        Identity { certificate, private_key: key.serialize_pem().into_bytes() }
    }

    /// A folder with a configuration that has these lines and TLS with a certificate of this authority; if it is
    /// mutual, clients need one as well.
    pub(crate) fn folder(&self, yaml: &str, is_mutual: bool) -> Folder {
        self.folder_with(&self.issue(), yaml, is_mutual)
    }

    /// The same with this certificate.
    pub(crate) fn folder_with(&self, identity: &Identity, yaml: &str, is_mutual: bool) -> Folder {
        let folder = Folder::new("");
        let ca = if is_mutual { ", ca: ca.pem" } else { "" };
        folder.configure(&format!("{yaml}\n{}", self.settings(identity, folder.path(), ca)));
        folder
    }

    /// Settings for a daemon with this certificate; its files are put into the folder. `more` is what else the section
    /// `tls` holds; files of the folder may be named in it.
    pub(crate) fn settings(&self, identity: &Identity, folder: &Path, more: &str) -> String {
        self.write_files(identity, folder);
        let path = folder.display();
        let more = more.replace("ca.pem", &format!("{path}/ca.pem"));
        format!("tls: {{cert: {path}/cert.pem, key: {path}/key.pem{more}}}")
    }

    /// Writes certificate, key and authority to where the configuration says that they are.
    pub(crate) fn write_files(&self, identity: &Identity, folder: &Path) {
        let files = [
            ("cert.pem", identity.certificate.clone()),
            ("key.pem", identity.private_key.clone()),
            ("ca.pem", self.pem().into_bytes()),
        ];
        for (name, pem) in files {
            std::fs::write(folder.join(name), pem).unwrap();
        }
    }
}
