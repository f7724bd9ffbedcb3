use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use super::{LeafComponents, Proved, ReceiptError};
use crate::{
    crypto::{Certificate, PublicKey},
    format::Digest,
    merkle::{Path, Sibling},
};

/// A receipt in JSON form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Certificate of the node that signed, PEM.
    pub cert: String,
    /// The entry.
    pub leaf: Leaf,
    /// Id of the node.
    pub node_id: String,
    /// The way to the root.
    pub proof: Path,
    /// Endorsements of the service by its successors, PEM.
    pub service_endorsements: Vec<String>,
    /// The node's signature over the root, DER.
    pub signature: Vec<u8>,
}

/// What the path begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaf {
    /// The parts of an entry's leaf.
    Components(LeafComponents),
    /// A digest: of a signature entry the root that it signed, in very old receipts the leaf.
    Digest(Digest),
}

/// Longest receipt that is read: a path has at most 64 siblings.
const MAX_JSON_BYTES: usize = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Wire {
    cert: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leaf: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leaf_components: Option<WireComponents>,
    #[serde(default)]
    node_id: String,
    proof: Vec<WireSibling>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    service_endorsements: Vec<String>,
    signature: String,
}

#[derive(Serialize, Deserialize)]
struct WireComponents {
    claims_digest: String,
    commit_evidence: String,
    write_set_digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum WireSibling {
    Left(String),
    Right(String),
}

fn malformed(reason: impl ToString) -> ReceiptError {
    ReceiptError::Malformed { reason: reason.to_string() }
}

fn digest(text: &str) -> Result<Digest, ReceiptError> {
    let mut digest = Digest::default();
    hex::decode_to_slice(text, &mut digest).map_err(|_| malformed("a digest is not 64 hex digits"))?;
    Ok(digest)
}

impl Receipt {
    /// Reads a receipt.
    ///
    /// # Errors
    /// [`ReceiptError::Malformed`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > MAX_JSON_BYTES {
            return Err(malformed(format!("{} bytes, at most {MAX_JSON_BYTES} are read", bytes.len())));
        }
        let wire: Wire = serde_json::from_slice(bytes).map_err(malformed)?;
        let leaf = match (wire.leaf_components, wire.leaf) {
            (Some(parts), None) => Leaf::Components(LeafComponents {
                write_set_digest: digest(&parts.write_set_digest)?,
                commit_evidence: parts.commit_evidence,
                claims_digest: digest(&parts.claims_digest)?,
            }),
            (None, Some(leaf)) => Leaf::Digest(digest(&leaf)?),
            _ => return Err(malformed("it must have either `leaf` or `leaf_components`")),
        };
        let siblings = wire.proof.iter().map(|sibling| {
            Ok(match sibling {
                WireSibling::Left(text) => Sibling::Left(digest(text)?),
                WireSibling::Right(text) => Sibling::Right(digest(text)?),
            })
        });
        Ok(Self {
            cert: wire.cert,
            leaf,
            node_id: wire.node_id,
            proof: Path { siblings: siblings.collect::<Result<_, ReceiptError>>()? },
            service_endorsements: wire.service_endorsements,
            signature: BASE64_STANDARD.decode(&wire.signature).map_err(malformed)?,
        })
    }

    /// The receipt as compact JSON, keys sorted.
    #[must_use]
    pub fn to_json(&self) -> String {
        let (leaf, leaf_components) = match &self.leaf {
            Leaf::Digest(leaf) => (Some(hex::encode(leaf)), None),
            Leaf::Components(parts) => {
                let parts = WireComponents {
                    claims_digest: hex::encode(parts.claims_digest),
                    commit_evidence: parts.commit_evidence.clone(),
                    write_set_digest: hex::encode(parts.write_set_digest),
                };
                (None, Some(parts))
            }
        };
        let proof = self.proof.siblings.iter().map(|sibling| match sibling {
            Sibling::Left(hash) => WireSibling::Left(hex::encode(hash)),
            Sibling::Right(hash) => WireSibling::Right(hex::encode(hash)),
        });
        let wire = Wire {
            cert: self.cert.clone(),
            leaf,
            leaf_components,
            node_id: self.node_id.clone(),
            proof: proof.collect(),
            service_endorsements: self.service_endorsements.clone(),
            signature: BASE64_STANDARD.encode(&self.signature),
        };
        // Texts and lists always have a JSON form.
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// The root to which the receipt leads.
    #[must_use]
    pub fn root(&self) -> Digest {
        match &self.leaf {
            Leaf::Components(parts) => self.proof.root(&parts.leaf()),
            Leaf::Digest(leaf) => self.proof.root(leaf),
        }
    }

    /// Checks the whole receipt against the key of the service that is trusted.
    ///
    /// # Errors
    /// A [`ReceiptError`] that says what does not hold. Receipts without leaf components prove no entry and are refused.
    pub fn verify(&self, service: &PublicKey) -> Result<Proved, ReceiptError> {
        let Leaf::Components(parts) = &self.leaf else {
            return Err(malformed("it names no entry, only a digest"));
        };
        let proved = parts.proved()?;
        self.verify_root(service)?;
        Ok(proved)
    }

    /// Checks path, signature and certificates, and gives the root that was signed. For receipts of signature entries and very
    /// old ones, which have a bare digest as leaf.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_root(&self, service: &PublicKey) -> Result<Digest, ReceiptError> {
        let root = self.root();
        let mut certificate = Certificate::from_pem(self.cert.as_bytes())?;
        if !self.node_id.is_empty() && certificate.key().id() != self.node_id {
            return Err(malformed("the certificate is not that of the node it names"));
        }
        if !certificate.key().verifies_root(&root, &self.signature) {
            return Err(ReceiptError::Signature);
        }
        for endorsement in &self.service_endorsements {
            let endorsement = Certificate::from_pem(endorsement.as_bytes())?;
            if !certificate.is_signed_by(endorsement.key()) {
                return Err(ReceiptError::Service);
            }
            certificate = endorsement;
        }
        if certificate.is_signed_by(service) { Ok(root) } else { Err(ReceiptError::Service) }
    }
}
