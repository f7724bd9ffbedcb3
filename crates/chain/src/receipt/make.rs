use super::{Leaf, LeafComponents, Receipt, ReceiptError, cose};
use crate::{
    crypto::CoseSign1,
    format::{Entry, FormatError, NO_CLAIMS, PublicDomain, SINGLE_KEY},
    governance::{self, COSE_SIGNATURES, ENDORSEMENT_CERTIFICATES, RawSignature, SIGNATURES, TREE},
    maps::{Maps, MapsError},
    merkle::{Path, Tree},
    store::Reader,
    verify::Secrets,
};

/// Makes receipts from chunk files: for any entry that is signed, however old. Costs the entries between it and the signature
/// that covers it.
#[derive(Debug)]
pub struct Receipts<'a> {
    reader: &'a Reader,
    secrets: &'a Secrets,
    /// Endorsements of services by their successors: see [`Receipt::service_endorsements`].
    endorsements: &'a [Endorsed],
}

/// The endorsement of a service: who signed before `until` needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endorsed {
    /// The last sequence number that the endorsed service signed.
    pub until: u64,
    /// Certificate of its key, issued by its successor, PEM.
    pub pem: String,
}

/// The signature entry that covers an entry.
struct Covering {
    seqno: u64,
    raw: Option<RawSignature>,
    cose: Option<CoseSign1>,
    tree: Option<Tree>,
}

impl<'a> Receipts<'a> {
    /// Reads entries with `reader`; makes commit evidence with `secrets`.
    #[must_use]
    pub fn new(reader: &'a Reader, secrets: &'a Secrets) -> Self {
        Self { reader, secrets, endorsements: &[] }
    }

    /// Adds endorsements of former services; [`endorsements_of`] finds them.
    #[must_use]
    pub fn endorsements(mut self, endorsements: &'a [Endorsed]) -> Self {
        self.endorsements = endorsements;
        self
    }

    /// The JSON receipt of an entry.
    ///
    /// # Errors
    /// [`ReceiptError::NotSigned`], [`ReceiptError::NoSecret`], [`ReceiptError::Profile`], and what can go wrong with files.
    pub fn json(&self, seqno: u64) -> Result<Receipt, ReceiptError> {
        let wanted = ReceiptError::Profile { wanted: "raw" };
        let own = self.signature(seqno)?;
        let (leaf, proof, raw, covered_by) = match own {
            Some(own) => {
                let raw = own.raw.ok_or(wanted)?;
                (Leaf::Digest(raw.root), Path::default(), raw, own.seqno)
            }
            None => {
                let (leaf, path, covering) = self.prove(seqno)?;
                (Leaf::Components(leaf), path, covering.raw.ok_or(wanted)?, covering.seqno)
            }
        };
        let reason = || "the signature holds no certificate".to_owned();
        let cert = raw.cert.ok_or_else(|| ReceiptError::Malformed { reason: reason() })?;
        let endorsements = self.endorsements.iter().filter(|endorsed| endorsed.until >= covered_by);
        Ok(Receipt {
            cert,
            leaf,
            node_id: raw.node,
            proof,
            service_endorsements: endorsements.map(|endorsed| endorsed.pem.clone()).collect(),
            signature: raw.sig,
        })
    }

    /// The COSE receipt of an entry.
    ///
    /// # Errors
    /// As [`json`](Self::json), and [`ReceiptError::IsSignature`].
    pub fn cose(&self, seqno: u64) -> Result<Vec<u8>, ReceiptError> {
        if self.signature(seqno)?.is_some() {
            return Err(ReceiptError::IsSignature { seqno });
        }
        let (leaf, path, covering) = self.prove(seqno)?;
        let message = covering.cose.ok_or(ReceiptError::Profile { wanted: "COSE" })?;
        Ok(cose::encode(&message, &leaf, &path))
    }

    fn prove(&self, seqno: u64) -> Result<(LeafComponents, Path, Covering), ReceiptError> {
        let bytes = self.reader.read(seqno)?;
        let (entry, _) = Entry::parse(&bytes)?;
        let domain = PublicDomain::parse(entry.public)?;
        let secret = self.secrets.at(seqno).ok_or(ReceiptError::NoSecret { seqno })?;
        let leaf = LeafComponents {
            write_set_digest: entry.write_set_digest(),
            commit_evidence: secret.commit_evidence(entry.txid()),
            claims_digest: domain.claims_digest.copied().unwrap_or(NO_CLAIMS),
        };
        let covering = self.covering(seqno)?;
        let reason = "the signature holds no tree that reaches back to the entry";
        let unprovable = || FormatError::Value { map: TREE, reason: reason.to_owned() };
        let tree = covering.tree.as_ref().ok_or_else(unprovable)?;
        if tree.leaf(seqno) != Some(leaf.leaf()) {
            return Err(ReceiptError::NoSecret { seqno });
        }
        let path = tree.path(seqno, tree.size()).ok_or_else(unprovable)?;
        Ok((leaf, path, covering))
    }

    /// The first signature behind an entry.
    fn covering(&self, seqno: u64) -> Result<Covering, ReceiptError> {
        let mut found = None;
        self.reader.scan(seqno.saturating_add(1), |at, bytes| {
            found = parse_signature(at, bytes)?;
            Ok::<_, ReceiptError>(found.is_none())
        })?;
        found.ok_or(ReceiptError::NotSigned { seqno })
    }

    fn signature(&self, seqno: u64) -> Result<Option<Covering>, ReceiptError> {
        parse_signature(seqno, &self.reader.read(seqno)?)
    }
}

fn parse_signature(seqno: u64, bytes: &[u8]) -> Result<Option<Covering>, ReceiptError> {
    let (entry, _) = Entry::parse(bytes)?;
    let mut covering = Covering { seqno, raw: None, cose: None, tree: None };
    for map in PublicDomain::parse(entry.public)?.maps() {
        let map = map?;
        let Some(Some(value)) = map.get(&SINGLE_KEY) else { continue };
        match map.name {
            SIGNATURES => covering.raw = Some(governance::parse(SIGNATURES, value)?),
            COSE_SIGNATURES => covering.cose = Some(CoseSign1::parse(&governance::parse_cose(value)?)?),
            TREE => covering.tree = Some(Tree::decode(value)?),
            _ => {}
        }
    }
    Ok((covering.raw.is_some() || covering.cose.is_some()).then_some(covering))
}

/// The endorsements that a ledger holds, in the order in which receipts need them.
///
/// # Errors
/// [`MapsError`] if the maps cannot be read.
pub fn endorsements_of(maps: &Maps) -> Result<Vec<Endorsed>, MapsError> {
    let rows = maps.range(ENDORSEMENT_CERTIFICATES, b"", b"", u64::MAX, usize::MAX)?;
    let mut endorsements = Vec::new();
    for row in rows {
        let pem = governance::parse(ENDORSEMENT_CERTIFICATES, &row.value)?;
        let Ok(until) = row.key.try_into().map(u64::from_le_bytes) else { continue };
        endorsements.push(Endorsed { until, pem });
    }
    endorsements.sort_by_key(|endorsed| endorsed.until);
    Ok(endorsements)
}
