//! X.509 certificates of services and nodes.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyUsagePurpose, SanType};
use thiserror::Error;
use x509_parser::{certificate::X509Certificate, oid_registry, pem::parse_x509_pem, prelude::FromDer};

use super::{
    PrivateKey, PublicKey,
    key::{CertificateHash, KeyError},
};

/// A certificate that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Not a certificate in PEM form.
    #[error("the certificate cannot be read: {reason}")]
    Unreadable {
        /// What is wrong.
        reason: String,
    },
    /// Its key cannot be used.
    #[error("the key of the certificate cannot be used")]
    Key(#[from] KeyError),
    /// It could not be made.
    #[error("the certificate could not be made: {reason}")]
    Refused {
        /// What the library said.
        reason: String,
    },
}

/// A certificate that was read.
#[derive(Debug, Clone)]
pub struct Certificate {
    key: PublicKey,
    body: Vec<u8>,
    hash: Option<CertificateHash>,
    signature: Vec<u8>,
    not_before: i64,
    not_after: i64,
}

impl Certificate {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// A [`CertificateError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let unreadable = |reason: String| CertificateError::Unreadable { reason };
        let (_, pem) = parse_x509_pem(pem).map_err(|error| unreadable(error.to_string()))?;
        let (rest, certificate) =
            X509Certificate::from_der(&pem.contents).map_err(|error| unreadable(error.to_string()))?;
        if !rest.is_empty() {
            return Err(unreadable("bytes behind the certificate".into()));
        }
        let algorithm = &certificate.signature_algorithm.algorithm;
        let hash = if *algorithm == oid_registry::OID_SIG_ECDSA_WITH_SHA384 {
            Some(CertificateHash::Sha384)
        } else if *algorithm == oid_registry::OID_SIG_ECDSA_WITH_SHA256 {
            Some(CertificateHash::Sha256)
        } else {
            None
        };
        Ok(Self {
            key: PublicKey::from_spki(certificate.tbs_certificate.subject_pki.raw)?,
            body: certificate.tbs_certificate.as_ref().to_vec(),
            hash,
            signature: certificate.signature_value.data.to_vec(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }

    /// The key it certifies.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Whether `issuer` signed it.
    #[must_use]
    pub fn is_signed_by(&self, issuer: &PublicKey) -> bool {
        self.hash.is_some_and(|hash| issuer.verifies_certificate(&self.body, hash, &self.signature))
    }

    /// Whether it signs itself.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.is_signed_by(&self.key)
    }

    /// Begin and end of its validity, in seconds since 1970.
    #[must_use]
    pub fn validity(&self) -> (i64, i64) {
        (self.not_before, self.not_after)
    }
}

/// Validity of the certificates that are made here: ten years. The ledger's proofs do not depend on dates.
const VALIDITY_SECONDS: u64 = 10 * 365 * 24 * 3600;

fn params(name: &str, unix_seconds: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + std::time::Duration::from_secs(unix_seconds);
    params.not_after = epoch + std::time::Duration::from_secs(unix_seconds.saturating_add(VALIDITY_SECONDS));
    params.use_authority_key_identifier_extension = true;
    params
}

fn service_params(unix_seconds: u64) -> CertificateParams {
    let mut params = params("Ledger Service", unix_seconds);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    params
}

/// The self-signed certificate of a service, PEM, valid from `unix_seconds` for ten years.
///
/// # Errors
/// [`CertificateError::Refused`].
pub fn service_certificate(key: &PrivateKey, unix_seconds: u64) -> Result<String, CertificateError> {
    let made = service_params(unix_seconds).self_signed(key);
    Ok(made.map_err(|error| CertificateError::Refused { reason: error.to_string() })?.pem())
}

/// The certificate of a node, signed by its service, PEM, valid from `unix_seconds` for ten years.
///
/// # Errors
/// [`CertificateError::Refused`].
pub fn node_certificate(
    node: &PublicKey,
    service: &PrivateKey,
    unix_seconds: u64,
) -> Result<String, CertificateError> {
    let mut params = params("Ledger Node", unix_seconds);
    params.is_ca = IsCa::ExplicitNoCa;
    params.subject_alt_names = vec![SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into())];
    let issuer = Issuer::new(service_params(unix_seconds), service);
    let made = params.signed_by(node, &issuer);
    Ok(made.map_err(|error| CertificateError::Refused { reason: error.to_string() })?.pem())
}

/// A certificate of the key of a former service, issued by its successor, PEM.
///
/// # Errors
/// [`CertificateError::Refused`].
pub fn endorsement_certificate(
    former: &PublicKey,
    service: &PrivateKey,
    unix_seconds: u64,
) -> Result<String, CertificateError> {
    let issuer = Issuer::new(service_params(unix_seconds), service);
    let made = service_params(unix_seconds).signed_by(former, &issuer);
    Ok(made.map_err(|error| CertificateError::Refused { reason: error.to_string() })?.pem())
}
