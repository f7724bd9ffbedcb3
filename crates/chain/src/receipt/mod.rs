//! Receipts: proof that an entry is in the ledger, checked without the ledger.
//!
//! A JSON receipt holds the digests of the entry, the path through the tree, the node's signature over the root and the node's
//! certificate; a COSE receipt is the service's COSE signature with the path inside. Who checks one needs the service
//! certificate and nothing else:
//!
//! ```no_run
//! use ledger_chain::{crypto::Certificate, receipt::Receipt};
//!
//! let service = Certificate::from_pem(&std::fs::read("service_cert.pem")?)?;
//! let receipt = Receipt::from_json(&std::fs::read("receipt.json")?)?;
//! let proved = receipt.verify(service.key())?;
//! println!("{} is in the ledger, with claims {}", proved.txid, hex::encode(proved.claims_digest));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//! {"cert": PEM, "leaf_components": {"claims_digest": hex, "commit_evidence": "ce:<view>.<seqno>:<hex>",
//!  "write_set_digest": hex}, "node_id": hex, "proof": [{"left": hex}, {"right": hex}, …], "signature": base64 DER,
//!  "service_endorsements": [PEM, …]}
//! ```
//!
//! `service_endorsements` lead from the service that signed, recovery by recovery, to the service of today: each is a certificate
//! of one service's key, issued by the next.

mod cose;
mod error;
mod json;
mod make;

pub use cose::CoseReceipt;
pub use error::ReceiptError;
pub use json::{Leaf, Receipt};
pub use make::{Endorsed, Receipts, endorsements_of};

use crate::{
    crypto::{sha256, sha256_parts},
    format::{Digest, TxId},
};

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// Position of the entry.
    pub txid: TxId,
    /// SHA-256 of the entry.
    pub write_set_digest: Digest,
    /// The digest of the application's claims; zeros if there were none.
    pub claims_digest: Digest,
}

/// The three parts of a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafComponents {
    /// SHA-256 of the entry.
    pub write_set_digest: Digest,
    /// `ce:<view>.<seqno>:<nonce>`.
    pub commit_evidence: String,
    /// The digest of the application's claims.
    pub claims_digest: Digest,
}

impl LeafComponents {
    /// The leaf.
    #[must_use]
    pub fn leaf(&self) -> Digest {
        sha256_parts([&self.write_set_digest, &sha256(self.commit_evidence.as_bytes()), &self.claims_digest])
    }

    fn proved(&self) -> Result<Proved, ReceiptError> {
        let mut parts = self.commit_evidence.split(':');
        let txid = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("ce"), Some(txid), Some(nonce), None) if nonce.len() == 64 => txid.parse().ok(),
            _ => None,
        };
        let txid = txid.ok_or(ReceiptError::Malformed {
            reason: "the commit evidence is not ce:<view>.<seqno>:<hex>".into(),
        })?;
        Ok(Proved { txid, write_set_digest: self.write_set_digest, claims_digest: self.claims_digest })
    }
}
