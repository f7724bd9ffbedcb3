//! Hashes, keys, certificates, COSE messages and the secrets of private maps.

mod certificate;
mod cose;
mod digest;
mod key;
mod passphrase;
pub(crate) mod pem;
mod secret;

pub use certificate::{
    Certificate, CertificateError, endorsement_certificate, node_certificate, service_certificate,
};
pub use cose::{CoseError, CoseSign1, Headers};
pub use key::{Curve, KeyError, PrivateKey, PublicKey};
pub use passphrase::{Passphrase, ProtectionError};
pub use secret::{LedgerSecret, SealError};

pub(crate) use cose::{cbor, endorse as cose_endorse, inclusion_proofs, sign as cose_sign};
pub(crate) use digest::{sha256, sha256_parts};
