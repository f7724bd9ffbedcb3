use ciborium::Value;

use super::{LeafComponents, Proved, ReceiptError};
use crate::{
    crypto::{CoseSign1, PublicKey, cbor, inclusion_proofs},
    format::Digest,
    merkle::{Path, Sibling},
};

/// A receipt in COSE form.
#[derive(Debug, Clone)]
pub struct CoseReceipt {
    message: CoseSign1,
    proofs: Vec<(LeafComponents, Path)>,
}

const LEAF: i64 = 1;
const PATH: i64 = 2;

fn malformed(reason: &str) -> ReceiptError {
    ReceiptError::Malformed { reason: reason.to_owned() }
}

impl CoseReceipt {
    /// Reads a receipt.
    ///
    /// # Errors
    /// [`ReceiptError::Cose`] or [`ReceiptError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        // Only one form of a receipt is accepted, so that no bit of it can be changed without notice.
        cbor::decode_canonical(bytes).ok_or_else(|| malformed("not CBOR in its canonical form"))?;
        let message = CoseSign1::parse(bytes)?;
        let proofs =
            inclusion_proofs(&message)?.into_iter().map(parse_proof).collect::<Result<Vec<_>, _>>()?;
        if proofs.is_empty() {
            return Err(malformed("it has no inclusion proof"));
        }
        Ok(Self { message, proofs })
    }

    /// Checks the receipt against the key of the service; all its proofs must lead to the signed root, and the first is told.
    ///
    /// # Errors
    /// A [`ReceiptError`] that says what does not hold.
    pub fn verify(&self, service: &PublicKey) -> Result<Proved, ReceiptError> {
        let headers = self.message.headers();
        if headers.kid.as_deref() != Some(&service.id()) {
            return Err(ReceiptError::Service);
        }
        if headers.vds != Some(2) {
            return Err(malformed("the kind of tree is not 2"));
        }
        let mut first = None;
        for (leaf, path) in &self.proofs {
            if !self.message.verifies(service, &path.root(&leaf.leaf())) {
                return Err(ReceiptError::Signature);
            }
            first = first.or(Some(leaf.proved()?));
        }
        first.ok_or_else(|| malformed("it has no inclusion proof"))
    }
}

/// Makes a receipt of a signature and one proof.
pub(super) fn encode(signature: &CoseSign1, leaf: &LeafComponents, path: &Path) -> Vec<u8> {
    let bytes = |digest: &Digest| Value::Bytes(digest.to_vec());
    let siblings = path.siblings.iter().map(|sibling| match sibling {
        Sibling::Left(hash) => Value::Array(vec![Value::Bool(true), bytes(hash)]),
        Sibling::Right(hash) => Value::Array(vec![Value::Bool(false), bytes(hash)]),
    });
    let parts = vec![
        bytes(&leaf.write_set_digest),
        Value::Text(leaf.commit_evidence.clone()),
        bytes(&leaf.claims_digest),
    ];
    let proof =
        Value::Map(vec![(LEAF.into(), Value::Array(parts)), (PATH.into(), Value::Array(siblings.collect()))]);
    signature.with_inclusion_proofs(vec![cbor::encode(&proof)])
}

fn parse_proof(bytes: &[u8]) -> Result<(LeafComponents, Path), ReceiptError> {
    let bad = || malformed("an inclusion proof is not {1: leaf, 2: path}");
    let proof = cbor::decode_canonical(bytes).and_then(|value| value.into_map().ok()).ok_or_else(bad)?;
    let list = |label: i64| cbor::get(&proof, &label.into()).and_then(Value::as_array).ok_or_else(bad);
    let digest = |value: &Value| -> Option<Digest> { value.as_bytes()?.as_slice().try_into().ok() };
    let leaf = match list(LEAF)?.as_slice() {
        [write_set, Value::Text(evidence), claims] => {
            digest(write_set).zip(digest(claims)).map(|(write_set, claims)| LeafComponents {
                write_set_digest: write_set,
                commit_evidence: evidence.clone(),
                claims_digest: claims,
            })
        }
        _ => None,
    };
    let sibling = |value: &Value| match value.as_array()?.as_slice() {
        [Value::Bool(true), hash] => Some(Sibling::Left(digest(hash)?)),
        [Value::Bool(false), hash] => Some(Sibling::Right(digest(hash)?)),
        _ => None,
    };
    let siblings = list(PATH)?.iter().map(sibling).collect::<Option<Vec<_>>>();
    Ok((leaf.ok_or_else(bad)?, Path { siblings: siblings.ok_or_else(bad)? }))
}
