use std::fmt;

use serde::Serialize;

use crate::format::TxId;

/// What a verification found. As JSON it is the output of `ledger chain verify --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// Where verification began: at a checkpoint or a snapshot. What is before was not looked at.
    pub resumed_at: Option<TxId>,
    /// Position of the last signature that holds, with everything before it.
    pub verified_until: Option<TxId>,
    /// Chunk files read.
    pub chunks: u64,
    /// Entries read.
    pub entries: u64,
    /// Bytes of entries read.
    pub bytes: u64,
    /// Raw signatures that hold.
    pub raw_signatures: u64,
    /// COSE signatures that hold.
    pub cose_signatures: u64,
    /// Snapshots that are what the ledger records.
    pub snapshots: u64,
    /// Hex SHA-256 of the public key of the service that signed last.
    pub service: Option<String>,
    /// Entries behind the last signature. Nothing protects them.
    pub unsigned_tail: Option<Tail>,
    /// Everything that must not be so. Not empty means damaged.
    pub problems: Vec<Problem>,
    /// What an auditor should know, but what is not wrong.
    pub notes: Vec<String>,
}

/// The outcome in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every check holds; entries behind the last signature are listed as the unsigned tail.
    Verified,
    /// There is no signature, so nothing could be verified.
    Unsigned,
    /// Something is wrong.
    Damaged,
}

/// Entries that no signature covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tail {
    /// The first.
    pub from: TxId,
    /// The last.
    pub to: TxId,
    /// How many.
    pub entries: u64,
}

/// Something that must not be so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Which check failed.
    pub check: Check,
    /// The chunk file.
    pub chunk: String,
    /// The sequence number of the entry, if it is about one.
    pub seqno: Option<u64>,
    /// The offset in the chunk, if it is about one.
    pub offset: Option<u64>,
    /// What is wrong.
    pub reason: String,
}

/// A check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Check {
    /// The file can be read.
    File,
    /// Chunks follow each other without gap and overlap, and only the last is open.
    Sequence,
    /// The header of the file and the position table fit the entries and the name.
    Positions,
    /// The entry can be parsed.
    Entry,
    /// Positions in the IV, in the public domain and in the file agree; views never decrease.
    Position,
    /// Chunks end in signatures; chunk flags are where they may be.
    ChunkEnd,
    /// The recorded root is the root of the entries.
    Root,
    /// The entry is the one that was signed (named by the recorded leaves).
    Leaf,
    /// The recorded tree is the tree of the entries.
    Tree,
    /// The node's signature.
    RawSignature,
    /// The service's signature.
    CoseSignature,
    /// A signature entry is well formed and says where it stands.
    SignatureEntry,
    /// The signing node is known, trusted, and its id fits its key.
    Signer,
    /// Certificates can be read and are issued by the service.
    Certificate,
    /// The service's status changes as it may.
    Service,
    /// The authentication tag fits the ledger secret.
    Tag,
    /// A snapshot is whole and belongs to the ledger.
    Snapshot,
    /// The ledger is as long as the caller knows it to be.
    Expected,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.chunk)?;
        if let Some(seqno) = self.seqno {
            write!(f, " seqno {seqno}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, " offset {offset}")?;
        }
        write!(f, ": {} [{}]", self.reason, self.check)
    }
}
