use std::sync::Arc;

use super::{Check, Problem};
use crate::{
    crypto::{CoseSign1, PublicKey},
    directory::ChunkFile,
    format::{Digest, TxId},
};

/// A signature to check.
#[derive(Debug)]
pub(crate) struct SignatureJob {
    pub(crate) txid: TxId,
    key: Arc<PublicKey>,
    root: Digest,
    signature: Signature,
    chunk: String,
    offset: u64,
}

#[derive(Debug)]
enum Signature {
    Raw(Vec<u8>),
    Cose(Box<CoseSign1>),
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The last signature entry of which every signature holds.
    pub(crate) until: Option<TxId>,
    pub(crate) raw: u64,
    pub(crate) cose: u64,
    pub(crate) problem: Option<Problem>,
}

impl SignatureJob {
    pub(crate) fn raw(txid: TxId, key: Arc<PublicKey>, root: Digest, signature: Vec<u8>) -> Self {
        Self { txid, key, root, signature: Signature::Raw(signature), chunk: String::new(), offset: 0 }
    }

    pub(crate) fn cose(txid: TxId, key: Arc<PublicKey>, root: Digest, message: CoseSign1) -> Self {
        Self {
            txid,
            key,
            root,
            signature: Signature::Cose(Box::new(message)),
            chunk: String::new(),
            offset: 0,
        }
    }

    pub(crate) fn locate(&mut self, chunk: &ChunkFile, offset: u64) {
        self.chunk = chunk.file_name();
        self.offset = offset;
    }

    pub(crate) fn key(&self) -> &Arc<PublicKey> {
        &self.key
    }

    /// When it was made, in seconds since 1970, if it says so.
    pub(crate) fn issued_at(&self) -> Option<i64> {
        match &self.signature {
            Signature::Raw(_) => None,
            Signature::Cose(message) => message.headers().issued_at,
        }
    }

    fn check(&self) -> Result<(), (Check, &'static str)> {
        match &self.signature {
            Signature::Raw(signature) if self.key.verifies_root(&self.root, signature) => Ok(()),
            Signature::Raw(_) => Err((Check::RawSignature, "the node's signature does not hold")),
            Signature::Cose(message) if message.verifies(&self.key, &self.root) => Ok(()),
            Signature::Cose(_) => Err((Check::CoseSignature, "the service's signature does not hold")),
        }
    }
}

/// Checks signatures in order, up to the first that does not hold.
pub(crate) fn check(jobs: &[SignatureJob]) -> Checked {
    let mut checked = Checked { until: None, raw: 0, cose: 0, problem: None };
    for (index, job) in jobs.iter().enumerate() {
        match (job.check(), &job.signature) {
            (Ok(()), Signature::Raw(_)) => checked.raw = checked.raw.saturating_add(1),
            (Ok(()), Signature::Cose(_)) => checked.cose = checked.cose.saturating_add(1),
            (Err((check, reason)), _) => {
                checked.problem = Some(Problem {
                    check,
                    chunk: job.chunk.clone(),
                    seqno: Some(job.txid.seqno),
                    offset: Some(job.offset),
                    reason: reason.to_owned(),
                });
                break;
            }
        }
        // An entry may hold two signatures.
        if jobs.get(index.saturating_add(1)).is_none_or(|next| next.txid != job.txid) {
            checked.until = Some(job.txid);
        }
    }
    checked
}
