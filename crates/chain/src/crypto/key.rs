//! ECDSA keys on P-384 (the default) and P-256.
//!
//! Three kinds of signature are made with them: over a Merkle root as a ready-made SHA-256 digest (raw signatures), over a COSE
//! structure (SHA-384 or SHA-256 of it, `r ‖ s`), and over certificates.

use aws_lc_rs::{
    digest::{Digest as AwsDigest, SHA256, SHA384},
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED,
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1,
        ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P384_SHA384_FIXED,
        ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm,
        KeyPair, ParsedPublicKey,
    },
};
use thiserror::Error;
use x509_parser::{oid_registry, prelude::FromDer, x509::SubjectPublicKeyInfo};
use zeroize::Zeroizing;

use super::{Passphrase, ProtectionError, pem, sha256};
use crate::format::Digest;

/// An elliptic curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

/// A key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a DER SubjectPublicKeyInfo of an elliptic-curve key.
    #[error("the public key cannot be read; it must be a P-384 or P-256 key")]
    Public,
    /// Not a PKCS#8 private key in PEM form.
    #[error("the private key cannot be read; it must be a P-384 or P-256 key in PKCS#8 PEM form")]
    Private,
    /// Protected by a passphrase that was not given.
    #[error("the private key is protected by a passphrase")]
    Protected,
    /// Protected, and cannot be opened.
    #[error(transparent)]
    Protection(#[from] ProtectionError),
    /// The key could not be made or used.
    #[error("the cryptographic library refused to {action}")]
    Refused {
        /// What it should have done.
        action: &'static str,
    },
}

impl Curve {
    fn spki_prefix(self) -> &'static [u8] {
        match self {
            Self::P256 => b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00",
            Self::P384 => b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00",
        }
    }

    fn cose(self) -> (&'static EcdsaVerificationAlgorithm, &'static EcdsaSigningAlgorithm) {
        match self {
            Self::P256 => (&ECDSA_P256_SHA256_FIXED, &ECDSA_P256_SHA256_FIXED_SIGNING),
            Self::P384 => (&ECDSA_P384_SHA384_FIXED, &ECDSA_P384_SHA384_FIXED_SIGNING),
        }
    }

    fn asn1_signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        }
    }

    fn raw(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1,
            Self::P384 => &ECDSA_P384_SHA256_ASN1,
        }
    }

    fn certificate(self, hash: CertificateHash) -> &'static EcdsaVerificationAlgorithm {
        match (self, hash) {
            (Self::P256, CertificateHash::Sha256) => &ECDSA_P256_SHA256_ASN1,
            (Self::P256, CertificateHash::Sha384) => &ECDSA_P256_SHA384_ASN1,
            (Self::P384, CertificateHash::Sha256) => &ECDSA_P384_SHA256_ASN1,
            (Self::P384, CertificateHash::Sha384) => &ECDSA_P384_SHA384_ASN1,
        }
    }
}

/// The hash that a certificate's signature names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CertificateHash {
    Sha256,
    Sha384,
}

/// A public key, ready for many verifications.
#[derive(Debug, Clone)]
pub struct PublicKey {
    curve: Curve,
    spki: Vec<u8>,
    raw: ParsedPublicKey,
    cose: ParsedPublicKey,
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`KeyError::Public`].
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let (rest, spki) = SubjectPublicKeyInfo::from_der(der).map_err(|_| KeyError::Public)?;
        if !rest.is_empty() || spki.algorithm.algorithm != oid_registry::OID_KEY_TYPE_EC_PUBLIC_KEY {
            return Err(KeyError::Public);
        }
        let parameters = spki.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
        let curve = match parameters {
            Some(oid) if oid == oid_registry::OID_NIST_EC_P384 => Curve::P384,
            Some(oid) if oid == oid_registry::OID_EC_P256 => Curve::P256,
            _ => return Err(KeyError::Public),
        };
        Self::from_point(curve, &spki.subject_public_key.data)
    }

    fn from_point(curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        let parse = |algorithm| ParsedPublicKey::new(algorithm, point).map_err(|_| KeyError::Public);
        let spki = [curve.spki_prefix(), point].concat();
        Ok(Self { curve, spki, raw: parse(curve.raw())?, cose: parse(curve.cose().0)? })
    }

    /// Its curve.
    #[must_use]
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// Its DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Hex SHA-256 of its SubjectPublicKeyInfo: the id of a node, and the `kid` of COSE signatures.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(sha256(&self.spki))
    }

    /// Whether `signature` (DER) signs `root` as a ready-made digest.
    #[must_use]
    pub fn verifies_root(&self, root: &Digest, signature: &[u8]) -> bool {
        AwsDigest::import_less_safe(root, &SHA256)
            .is_ok_and(|digest| self.raw.verify_digest_sig(&digest, signature).is_ok())
    }

    /// Whether `signature` (`r ‖ s`) signs a COSE structure.
    #[must_use]
    pub fn verifies_cose(&self, structure: &[u8], signature: &[u8]) -> bool {
        self.cose.verify_sig(structure, signature).is_ok()
    }

    /// Whether `signature` (DER) signs the body of a certificate.
    pub(crate) fn verifies_certificate(&self, body: &[u8], hash: CertificateHash, signature: &[u8]) -> bool {
        let prefix = self.curve.spki_prefix().len();
        let point = self.spki.get(prefix..).unwrap_or_default();
        ParsedPublicKey::new(self.curve.certificate(hash), point)
            .is_ok_and(|key| key.verify_sig(body, signature).is_ok())
    }
}

/// A private key. Its bytes are wiped when it is dropped, and are never printed.
pub struct PrivateKey {
    public: PublicKey,
    asn1: EcdsaKeyPair,
    cose: EcdsaKeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey").field("id", &self.public.id()).finish_non_exhaustive()
    }
}

const LABEL: &str = "PRIVATE KEY";
const PROTECTED_LABEL: &str = "ENCRYPTED PRIVATE KEY";

impl PrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`KeyError::Refused`].
    pub fn generate(curve: Curve) -> Result<Self, KeyError> {
        let document = EcdsaKeyPair::generate_pkcs8(curve.asn1_signing(), &SystemRandom::new())
            .map_err(|_| KeyError::Refused { action: "make a key" })?;
        Self::from_pkcs8_on(curve, document.as_ref())
    }

    /// Reads a PKCS#8 key in DER form.
    ///
    /// # Errors
    /// [`KeyError::Private`].
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        Self::from_pkcs8_on(Curve::P384, der).or_else(|_| Self::from_pkcs8_on(Curve::P256, der))
    }

    fn from_pkcs8_on(curve: Curve, der: &[u8]) -> Result<Self, KeyError> {
        let asn1 = EcdsaKeyPair::from_pkcs8(curve.asn1_signing(), der).map_err(|_| KeyError::Private)?;
        let cose = EcdsaKeyPair::from_pkcs8(curve.cose().1, der).map_err(|_| KeyError::Private)?;
        let public = PublicKey::from_point(curve, asn1.public_key().as_ref())?;
        Ok(Self { public, asn1, cose, pkcs8: Zeroizing::new(der.to_vec()) })
    }

    /// Reads a PKCS#8 key in PEM form; a protected one needs its passphrase.
    ///
    /// # Errors
    /// [`KeyError::Private`], [`KeyError::Protected`], [`KeyError::Protection`].
    pub fn from_pem(text: &str, passphrase: Option<&Passphrase>) -> Result<Self, KeyError> {
        let Some(protected) = pem::decode(PROTECTED_LABEL, text) else {
            return Self::from_pkcs8(&pem::decode(LABEL, text).ok_or(KeyError::Private)?);
        };
        let der = passphrase.ok_or(KeyError::Protected)?.open(&protected)?;
        // The padding can look right by chance.
        Self::from_pkcs8(&der).map_err(|_| ProtectionError::Passphrase.into())
    }

    /// The key as PKCS#8 PEM, protected if there is a passphrase.
    ///
    /// # Errors
    /// [`KeyError::Protection`] if the library refuses.
    pub fn to_pem(&self, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, KeyError> {
        Ok(match passphrase {
            Some(passphrase) => pem::encode(PROTECTED_LABEL, &passphrase.protect(&self.pkcs8)?),
            None => pem::encode(LABEL, &self.pkcs8),
        })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a Merkle root as a ready-made digest; DER.
    ///
    /// # Errors
    /// [`KeyError::Refused`].
    pub fn sign_root(&self, root: &Digest) -> Result<Vec<u8>, KeyError> {
        let refused = || KeyError::Refused { action: "sign a root" };
        // ECDSA reads the digest as a number, so leading zeros change nothing; the library wants 48 bytes for P-384.
        let digest = match self.public.curve {
            Curve::P256 => AwsDigest::import_less_safe(root, &SHA256),
            Curve::P384 => {
                let mut wide = [0; 48];
                wide.iter_mut().skip(16).zip(root).for_each(|(to, from)| *to = *from);
                AwsDigest::import_less_safe(&wide, &SHA384)
            }
        };
        let signature = self.asn1.sign_digest(&digest.map_err(|_| refused())?).map_err(|_| refused())?;
        Ok(signature.as_ref().to_vec())
    }

    /// Signs a COSE structure; `r ‖ s`.
    ///
    /// # Errors
    /// [`KeyError::Refused`].
    pub fn sign_cose(&self, structure: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.cose.sign(&SystemRandom::new(), structure);
        Ok(signature.map_err(|_| KeyError::Refused { action: "sign a COSE message" })?.as_ref().to_vec())
    }
}

impl rcgen::PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        self.public.der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.public.algorithm()
    }
}

impl rcgen::SigningKey for PrivateKey {
    fn sign(&self, body: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.asn1.sign(&SystemRandom::new(), body);
        Ok(signature.map_err(|_| rcgen::Error::RemoteKeyError)?.as_ref().to_vec())
    }
}

impl rcgen::PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        self.spki.get(self.curve.spki_prefix().len()..).unwrap_or_default()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.curve {
            Curve::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Curve::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        }
    }
}
