//! Certificates for tests.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use crate::support::Folder;

/// An authority that certificates come from.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for the name `localhost`, and its key.
    pub(crate) fn issue(&self) -> (String, String) {
        self.issue_for("localhost", 1975, 4000)
    }

    /// One for another name, or for other years.
    pub(crate) fn issue_for(&self, name: &str, from_year: i32, to_year: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        // Not the name of the authority: OpenSSL would take it for one that signs itself.
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(from_year, 1, 1);
        params.not_after = date_time_ymd(to_year, 1, 1);
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    /// Settings for a daemon with this certificate; its files are put into the folder. `more` is what else the section
    /// `tls` holds; files of the folder may be named in it.
    pub(crate) fn settings(&self, folder: &Folder, (cert, key): (String, String), more: &str) -> String {
        for (name, pem) in [("cert.pem", &cert), ("key.pem", &key), ("ca.pem", &self.pem())] {
            std::fs::write(folder.path().join(name), pem).unwrap();
        }
        let path = folder.path().display();
        let more = more.replace("ca.pem", &format!("{path}/ca.pem"));
        format!("tls: {{cert: {path}/cert.pem, key: {path}/key.pem{more}}}")
    }
}
