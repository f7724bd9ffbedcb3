//! The maps by which a ledger describes itself: signatures, nodes and service.
//!
//! | map | key | value |
//! |---|---|---|
//! | `public:ccf.internal.signatures` | single | JSON: a node's signature over the root ([`RawSignature`]) |
//! | `public:ccf.internal.cose_signatures` | single | JSON string: base64 of a COSE_Sign1 message by the service |
//! | `public:ccf.internal.tree` | single | the tree, compact ([`Tree::encode`](crate::merkle::Tree::encode)) |
//! | `public:ccf.gov.nodes.info` | node id | JSON: status of a node ([`NodeInfo`]) |
//! | `public:ccf.gov.nodes.endorsed_certificates` | node id | PEM |
//! | `public:ccf.gov.service.info` | single | JSON: status and certificate of the service ([`ServiceInfo`]) |
//!
//! A signature entry writes the first three and nothing else. JSON is compact, keys sorted by byte.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use crate::format::{Digest, Entry, FormatError, PublicDomain, TxId};

/// Raw signatures of nodes.
pub const SIGNATURES: &str = "public:ccf.internal.signatures";
/// COSE signatures of the service.
pub const COSE_SIGNATURES: &str = "public:ccf.internal.cose_signatures";
/// Compact trees.
pub const TREE: &str = "public:ccf.internal.tree";
/// Status of nodes.
pub const NODES_INFO: &str = "public:ccf.gov.nodes.info";
/// Certificates of nodes.
pub const NODE_CERTIFICATES: &str = "public:ccf.gov.nodes.endorsed_certificates";
/// Status and certificate of the service.
pub const SERVICE_INFO: &str = "public:ccf.gov.service.info";
/// Digests of snapshots.
pub const SNAPSHOT_EVIDENCE: &str = "public:ccf.internal.snapshot_evidence";
/// The certificate of the service before a recovery.
pub const PREVIOUS_IDENTITY: &str = "public:ccf.gov.service.previous_service_identity";
/// The last root that the service before a recovery signed.
pub const PREVIOUS_ROOT: &str = "public:ccf.internal.previous_service_last_signed_root";

/// The endorsement of the service before a recovery by the one after it, a COSE message.
pub const IDENTITY_ENDORSEMENT: &str = "public:ccf.internal.previous_service_identity_endorsement";
/// The same endorsement as a certificate, for JSON receipts; key: the last sequence number that the endorsed service signed.
pub const ENDORSEMENT_CERTIFICATES: &str = "public:ccf.gov.service.endorsement_certificates";
/// The previous ledger secret, encrypted with the next.
pub const HISTORICAL_SECRET: &str = "public:ccf.internal.historical_encrypted_ledger_secret";

/// Whether the name belongs to the ledger itself; applications may not write to it.
#[must_use]
pub fn is_reserved(map: &str) -> bool {
    map.starts_with("public:ccf.gov.") || map.starts_with("public:ccf.internal.") || map.starts_with("ccf.")
}

/// Whether an entry is a signature.
///
/// # Errors
/// A [`FormatError`] if it cannot be read.
pub fn is_signature(entry: &Entry<'_>) -> Result<bool, FormatError> {
    for map in PublicDomain::parse(entry.public)?.maps() {
        if [SIGNATURES, COSE_SIGNATURES].contains(&map?.name) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Trust in a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeStatus {
    /// Known, must not sign.
    Pending,
    /// May sign.
    Trusted,
    /// On its way out; may still sign.
    Retired,
}

/// What is needed of a row of [`NODES_INFO`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Certificate, in ledgers of 1.x only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// Status.
    pub status: NodeStatus,
}

/// Life of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceStatus {
    /// New.
    Opening,
    /// In use.
    Open,
    /// Read after a disaster.
    Recovering,
    /// Waiting for people.
    WaitingForRecoveryShares,
}

impl ServiceStatus {
    /// Whether the status may follow `self`. A disaster can happen at any time, so `Opening` always may.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        use ServiceStatus::{Open, Opening, Recovering, WaitingForRecoveryShares};
        next == Opening
            || next == self
            || matches!(
                (self, next),
                (Opening, Open | WaitingForRecoveryShares)
                    | (Open, Recovering)
                    | (Recovering, WaitingForRecoveryShares)
                    | (WaitingForRecoveryShares, Open)
            )
    }
}

/// What is needed of the row of [`SERVICE_INFO`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceInfo {
    /// Certificate of the service, PEM.
    pub cert: String,
    /// Position of the entry that created the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_service_create_txid: Option<String>,
    /// Number of disaster recoveries so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_count: Option<u64>,
    /// Status.
    pub status: ServiceStatus,
}

/// A node's signature over a Merkle root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawSignature {
    /// Certificate of the node, PEM; absent in the smallest form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// Unused, 0.
    #[serde(default)]
    pub commit_seqno: u64,
    /// Unused, 0.
    #[serde(default)]
    pub commit_view: u64,
    /// Unused, zeros.
    #[serde(default)]
    pub hashed_nonce: String,
    /// Id of the node.
    pub node: String,
    /// The root.
    #[serde(with = "hex::serde")]
    pub root: Digest,
    /// Sequence number of the signature entry.
    pub seqno: u64,
    /// The signature, DER.
    #[serde(with = "base64_text")]
    pub sig: Vec<u8>,
    /// View of the signature entry.
    pub view: u32,
}

impl RawSignature {
    /// Where it stands.
    #[must_use]
    pub fn txid(&self) -> TxId {
        TxId { view: self.view, seqno: self.seqno }
    }
}

mod base64_text {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        BASE64_STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The value of [`IDENTITY_ENDORSEMENT`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityEndorsement {
    /// COSE_Sign1 message; its payload is the endorsed key (DER SubjectPublicKeyInfo).
    #[serde(with = "base64_text")]
    pub endorsement: Vec<u8>,
    /// First position of the endorsed service.
    pub endorsement_epoch_begin: String,
    /// Last position of the endorsed service; absent while it lives, when it endorses itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endorsement_epoch_end: Option<String>,
    /// Key that signed (DER SubjectPublicKeyInfo).
    #[serde(with = "base64_text")]
    pub endorsing_key: Vec<u8>,
    /// Sequence number of the endorsement before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_version: Option<u64>,
}

/// Reads a JSON value of one of these maps.
///
/// # Errors
/// [`FormatError::Value`].
pub fn parse<'a, T: Deserialize<'a>>(map: &'static str, value: &'a [u8]) -> Result<T, FormatError> {
    serde_json::from_slice(value).map_err(|error| FormatError::Value { map, reason: error.to_string() })
}

/// Reads the value of [`COSE_SIGNATURES`]: the bytes of the message.
///
/// # Errors
/// [`FormatError::Value`].
pub fn parse_cose(value: &[u8]) -> Result<Vec<u8>, FormatError> {
    let text: String = parse(COSE_SIGNATURES, value)?;
    let decoded = BASE64_STANDARD.decode(text);
    decoded.map_err(|error| FormatError::Value { map: COSE_SIGNATURES, reason: error.to_string() })
}

/// JSON with keys sorted, as these maps hold it. The structs above list their fields in that order.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    // Strings, numbers and maps with text keys always have a JSON form.
    serde_json::to_vec(value).unwrap_or_default()
}
