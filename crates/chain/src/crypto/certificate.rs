//! X.509 certificates of services and nodes.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyUsagePurpose, SanType};
use thiserror::Error;
use x509_parser::{certificate::X509Certificate, oid_registry, prelude::FromDer};

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
        let der = decode_pem(pem).ok_or_else(|| unreadable("not a certificate in PEM form".into()))?;
        let (rest, certificate) =
            X509Certificate::from_der(&der).map_err(|error| unreadable(error.to_string()))?;
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
        let body = certificate.tbs_certificate.as_ref();
        if hash.is_some_and(|hash| frame(body, hash, &certificate.signature_value.data) != *der) {
            return Err(unreadable("its frame is not in canonical form".into()));
        }
        Ok(Self {
            key: PublicKey::from_spki(certificate.tbs_certificate.subject_pki.raw)?,
            body: body.to_vec(),
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

/// The DER of a certificate around its signed body. The signature does not cover the frame, so only one form of it is accepted.
fn frame(body: &[u8], hash: CertificateHash, signature: &[u8]) -> Vec<u8> {
    let algorithm: &[u8] = match hash {
        CertificateHash::Sha256 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
        CertificateHash::Sha384 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
    };
    let signature = element(0x03, &[&[0], signature].concat());
    element(0x30, &[body, algorithm, &signature].concat())
}

/// A DER element: tag, length, content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let length = match significant.as_slice() {
        [] => vec![0],
        [short] if *short < 0x80 => vec![*short],
        long => [&[0x80 | u8::try_from(long.len()).unwrap_or_default()], long].concat(),
    };
    [&[tag], length.as_slice(), content].concat()
}

/// The bytes of the first certificate. Strict (RFC 7468, section 3, with any length of lines), so that no changed character
/// passes.
fn decode_pem(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let body = text.strip_prefix("-----BEGIN CERTIFICATE-----")?;
    let (body, rest) = body.split_once("-----END CERTIFICATE-----")?;
    let ends_line = rest.is_empty() || rest.starts_with('\n') || rest.starts_with("\r\n");
    let body: String = body.chars().filter(|character| !matches!(character, '\n' | '\r')).collect();
    ends_line.then(|| BASE64_STANDARD.decode(body).ok())?
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
