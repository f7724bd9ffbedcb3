use thiserror::Error;

use crate::{
    crypto::{CertificateError, CoseError},
    format::FormatError,
    store::StoreError,
};

/// Why a receipt could not be made, or does not prove anything.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Not a receipt.
    #[error("not a receipt: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// The signature does not fit the root to which the receipt leads.
    #[error("the receipt is forged or damaged: the signature does not hold for its content")]
    Signature,
    /// The node's certificate does not lead to the trusted service.
    #[error("the receipt was not signed by a node of the service whose certificate was given")]
    Service,
    /// A certificate.
    #[error("a certificate in the receipt cannot be used")]
    Certificate(#[from] CertificateError),
    /// The COSE message.
    #[error("the COSE receipt cannot be used")]
    Cose(#[from] CoseError),
    /// No signature covers the entry yet.
    #[error("entry {seqno} is not signed yet; wait for the next signature")]
    NotSigned {
        /// The entry.
        seqno: u64,
    },
    /// There is no ledger secret from which to make the commit evidence.
    #[error(
        "the ledger secret for entry {seqno} is missing; receipts can only be made where the secrets are"
    )]
    NoSecret {
        /// The entry.
        seqno: u64,
    },
    /// The ledger's signatures are of another kind.
    #[error("the signature that covers the entry is no {wanted} signature; the ledger has another profile")]
    Profile {
        /// `raw` or `COSE`.
        wanted: &'static str,
    },
    /// Signature entries have no COSE receipt.
    #[error("entry {seqno} is a signature itself; it has no COSE receipt")]
    IsSignature {
        /// The entry.
        seqno: u64,
    },
    /// An entry cannot be read.
    #[error("an entry cannot be read")]
    Format(#[from] FormatError),
    /// The chunk files.
    #[error(transparent)]
    Store(#[from] StoreError),
}
