//! A place up to which a ledger was verified, to go on from.
//!
//! A checkpoint holds what a verifier knows just before a signature: the tree (compact), nodes, certificates and services. Who goes on from it
//! begins with that signature: the ledger must still hold it, and it must sign the tree of the checkpoint. So a checkpoint
//! cannot be used with another ledger, and a damaged one is noticed; but whoever can write to it can make the verifier trust other nodes.
//! Keep it where only auditors write.
//!
//! ```json
//! {"checkpoint":"2.18","after":"2.17","peaks":["<hex>", …],"nodes":{"<id>":"Trusted"},"certificates":{"<id>":"<PEM>"},
//!  "service":{…},"services":["<hex SubjectPublicKeyInfo>", …],"endorsement":null,"signed_root":"<hex>","sha256":"<hex>"}
//! ```
//!
//! `peaks` are the roots of the perfect subtrees, largest first, of the tree over everything before the signature; `sha256` is of
//! the text up to the comma before it.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    resume::Resume,
    state::{NodeCertificate, Service, State},
};
use crate::{
    crypto::{Certificate, PublicKey, sha256},
    format::{Digest, TxId},
    governance::{NodeStatus, ServiceInfo},
    merkle::Peaks,
};

/// A place up to which a ledger was verified; made by [`Verifier::verify_to_checkpoint`](super::Verifier::verify_to_checkpoint).
#[derive(Debug, Clone)]
pub struct Checkpoint {
    at: TxId,
    state: State,
}

/// A checkpoint that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a checkpoint: {reason}. Verify from the beginning, and write it again")]
pub struct CheckpointError {
    reason: String,
}

fn bad(reason: impl ToString) -> CheckpointError {
    CheckpointError { reason: reason.to_string() }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    checkpoint: String,
    after: String,
    peaks: Vec<String>,
    nodes: BTreeMap<String, NodeStatus>,
    certificates: BTreeMap<String, String>,
    service: Option<ServiceInfo>,
    services: Vec<String>,
    endorsement: Option<u64>,
    signed_root: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl Checkpoint {
    pub(super) fn new(at: TxId, state: State) -> Self {
        Self { at, state }
    }

    /// The signature that it stands before.
    #[must_use]
    pub fn at(&self) -> TxId {
        self.at
    }

    pub(super) fn resume(&self) -> Resume {
        let name = format!("the checkpoint at {}", self.at);
        Resume { state: self.state.clone(), at: self.at, verified: false, name }
    }

    /// Its text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let State { tree, last, nodes, certificates, service, known_services, last_endorsement, signed_root } =
            &self.state;
        let pem = |certificate: &NodeCertificate| String::from_utf8_lossy(&certificate.pem).into_owned();
        let wire = Wire {
            checkpoint: self.at.to_string(),
            after: last.map(|last| last.to_string()).unwrap_or_default(),
            peaks: tree.roots().iter().map(hex::encode).collect(),
            nodes: nodes.clone(),
            certificates: certificates.iter().map(|(id, one)| (id.clone(), pem(one))).collect(),
            service: service.as_ref().map(|service| service.info.clone()),
            services: known_services.iter().map(|key| hex::encode(key.spki())).collect(),
            endorsement: *last_endorsement,
            signed_root: signed_root.map(hex::encode),
            sha256: None,
        };
        // Texts, numbers and maps with text keys always have a JSON form.
        let body = serde_json::to_string(&wire).unwrap_or_default();
        let body = body.trim_end_matches('}');
        format!("{body},\"sha256\":\"{}\"}}\n", hex::encode(sha256(body.as_bytes())))
    }

    /// Reads a text.
    ///
    /// # Errors
    /// [`CheckpointError`] if it is not whole, or was changed.
    pub fn from_json(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let wire: Wire = serde_json::from_slice(bytes).map_err(bad)?;
        let text = std::str::from_utf8(bytes).map_err(bad)?;
        let (body, _) = text.rsplit_once(",\"sha256\":").ok_or_else(|| bad("it has no checksum"))?;
        if wire.sha256.as_deref() != Some(&hex::encode(sha256(body.as_bytes()))) {
            return Err(bad("its checksum does not fit; it was changed"));
        }
        let at: TxId = wire.checkpoint.parse().map_err(bad)?;
        let peaks = wire.peaks.iter().map(|peak| digest(peak)).collect::<Result<_, _>>()?;
        let tree = Peaks::from_parts(at.seqno, peaks).ok_or_else(|| bad("its tree has another size"))?;
        let certificates = wire.certificates.into_iter().map(|(id, pem)| {
            let (key, validity) = certified(&pem)?;
            Ok((id, NodeCertificate { pem: pem.into_bytes().into(), key, validity }))
        });
        let service = wire.service.map(|info| {
            let (key, validity) = certified(&info.cert)?;
            Ok(Service { info, key, validity })
        });
        let services = wire.services.iter().map(|hex| {
            let spki = hex::decode(hex).map_err(bad)?;
            Ok(Arc::new(PublicKey::from_spki(&spki).map_err(bad)?))
        });
        let state = State {
            tree,
            last: if wire.after.is_empty() { None } else { Some(wire.after.parse().map_err(bad)?) },
            nodes: wire.nodes,
            certificates: certificates.collect::<Result<_, CheckpointError>>()?,
            service: service.transpose()?,
            known_services: services.collect::<Result<_, CheckpointError>>()?,
            last_endorsement: wire.endorsement,
            signed_root: wire.signed_root.as_deref().map(digest).transpose()?,
        };
        Ok(Self { at, state })
    }
}

/// The key of a certificate, and its dates.
fn certified(pem: &str) -> Result<(Arc<PublicKey>, (i64, i64)), CheckpointError> {
    let certificate = Certificate::from_pem(pem.as_bytes()).map_err(bad)?;
    Ok((Arc::new(certificate.key().clone()), certificate.validity()))
}

fn digest(text: &str) -> Result<Digest, CheckpointError> {
    let mut digest = Digest::default();
    hex::decode_to_slice(text, &mut digest).map_err(bad)?;
    Ok(digest)
}
