mod identity;
mod recover;
mod resume;
mod snapshots;

pub use recover::Recovery;

use std::{
    collections::VecDeque,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{Home, Identity, LedgerError, Prepared, Profile, Settings, home, keys};
use crate::{
    crypto::{LedgerSecret, cose_sign},
    format::{
        Digest, Entry, EntryType, Flags, Iv, NO_CLAIMS, PublicHeader, SINGLE_KEY, TxId, WriteSet,
        encode_entry,
    },
    governance::{
        COSE_SIGNATURES, RawSignature, SERVICE_INFO, SIGNATURES, ServiceInfo, ServiceStatus, TREE, json,
    },
    merkle::{Peaks, Tree},
    store::{ChunkStore, PendingSync, Recovered, StoreError},
    verify::Secrets,
};
use resume::{Resumed, base, check_identity, check_opened, open_store, resume};
use snapshots::Snapshots;

/// The writer without threads: gives entries their positions, keeps the tree, signs, writes.
#[derive(Debug)]
pub struct Engine {
    store: ChunkStore,
    tree: Tree,
    identity: Identity,
    secrets: Secrets,
    profile: Profile,
    chunk_bytes: u64,
    view: u32,
    last: TxId,
    last_signature: Option<TxId>,
    /// Trees at signatures that are not committed yet.
    signed: VecDeque<(u64, Peaks)>,
    snapshots: Snapshots,
    /// Reused for encoding.
    public: Vec<u8>,
    private: Vec<u8>,
    entry: Vec<u8>,
}

/// Entries that make a ledger: the service and its node, a signature, the service open, a signature.
const FIRST_ENTRIES: u64 = 4;

impl Engine {
    /// Creates a ledger: keys, the entries that name service and node, and their signatures. Nothing is synced yet but the keys.
    ///
    /// # Errors
    /// [`LedgerError::Exists`] if there are chunk files already.
    pub fn init(home: &Home, settings: &Settings) -> Result<Self, LedgerError> {
        home.make()?;
        let (mut store, _) = open_store(home, &Secrets::none(), None, true)?;
        let folder = home.keys();
        if store.last() > 0 {
            // A crash may have cut off an earlier attempt, whose keys were stored before its entries.
            let begun = store.last() < FIRST_ENTRIES && folder.dir.metadata(Path::new(keys::VIEW)).is_ok();
            if !begun || store.committed() > 0 {
                return Err(LedgerError::Exists { path: home.path() });
            }
            store.rollback(0)?;
        }
        let identity = Identity::generate(crate::crypto::Curve::P384, unix_seconds())?;
        identity.store(&folder)?;
        let mut secrets = Secrets::none();
        secrets.insert(1, LedgerSecret::generate()?);
        folder.store_secrets(&secrets)?;
        // Views of services begin with 2.
        let view = keys::next_view(&*folder.dir, 1)?;
        let snapshots = Snapshots::open(home, &store, settings)?;
        let mut engine = Self::assemble(store, identity, secrets, settings, view, snapshots);
        engine.open_service()?;
        Ok(engine)
    }

    fn assemble(
        store: ChunkStore,
        identity: Identity,
        secrets: Secrets,
        settings: &Settings,
        view: u32,
        snapshots: Snapshots,
    ) -> Self {
        Self {
            store,
            tree: Tree::ledger(),
            identity,
            secrets,
            profile: settings.profile,
            chunk_bytes: settings.chunk_bytes,
            view,
            last: TxId { view, seqno: 0 },
            last_signature: None,
            signed: VecDeque::new(),
            snapshots,
            public: Vec::new(),
            private: Vec::new(),
            entry: Vec::new(),
        }
    }

    fn resumed(self, at: Resumed) -> Self {
        Self {
            tree: at.tree,
            last: at.last,
            last_signature: Some(at.signature),
            signed: VecDeque::from([(at.signature.seqno, at.signed_peaks)]),
            ..self
        }
    }

    fn open_service(&mut self) -> Result<(), LedgerError> {
        let create = TxId { view: self.view, seqno: 1 }.to_string();
        let mut info = ServiceInfo {
            cert: self.identity.service_cert.clone(),
            current_service_create_txid: Some(create),
            recovery_count: Some(0),
            status: ServiceStatus::Opening,
        };
        let mut writes = WriteSet::new();
        writes.put(SERVICE_INFO, SINGLE_KEY, json(&info));
        self.identity.trust_node(&mut writes);
        self.propose_internal(&writes)?;
        self.sign(false)?;
        info.status = ServiceStatus::Open;
        let mut writes = WriteSet::new();
        writes.put(SERVICE_INFO, SINGLE_KEY, json(&info));
        self.propose_internal(&writes)?;
        self.sign(false)?;
        Ok(())
    }

    /// Opens an existing ledger for writing. Costs the entries since the last signature, whatever the length of the ledger.
    ///
    /// # Errors
    /// [`LedgerError`]; [`LedgerError::WrongKeys`] if the keys of the home did not sign last.
    pub fn open(home: &Home, settings: &Settings) -> Result<(Self, Recovered), LedgerError> {
        match home.dir().metadata(Path::new(home::LEDGER)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(LedgerError::NoLedger { path: home.path() });
            }
            other => other?,
        };
        let folder = home.keys();
        folder.settle()?;
        let secrets = match folder.load_secrets() {
            // Either there is no ledger yet, or its keys are missing, which is said below.
            Err(LedgerError::File(error)) if error.kind() == std::io::ErrorKind::NotFound => Secrets::none(),
            other => other?,
        };
        let base = base(home)?;
        let (store, recovered) = open_store(home, &secrets, base.as_ref(), false)?;
        if store.last() < FIRST_ENTRIES {
            return Err(LedgerError::NoLedger { path: home.path() });
        }
        let resumed = resume(&store, base.as_ref())?;
        let Some(resumed) = resumed else { return Err(LedgerError::NoLedger { path: home.path() }) };
        let identity = Identity::load(&folder)?;
        check_identity(&identity, &resumed)?;
        check_opened(&store, resumed.signature)?;
        let view = keys::next_view(&*folder.dir, resumed.last.view)?;
        let snapshots = Snapshots::open(home, &store, settings)?;
        let engine = Self::assemble(store, identity, secrets, settings, view, snapshots);
        Ok((engine.resumed(resumed), recovered))
    }

    /// Position of the last entry.
    #[must_use]
    pub fn last(&self) -> TxId {
        self.last
    }

    /// Position of the last signature.
    #[must_use]
    pub fn last_signature(&self) -> Option<TxId> {
        self.last_signature
    }

    /// Everything up to this sequence number is committed.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.store.committed()
    }

    /// Number of entries behind the last signature.
    #[must_use]
    pub fn unsigned(&self) -> u64 {
        self.last.seqno.saturating_sub(self.last_signature.map_or(0, |signature| signature.seqno))
    }

    /// The keys that sign.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The ledger secrets.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The chunk files.
    #[must_use]
    pub fn store(&self) -> &ChunkStore {
        &self.store
    }

    /// Gives an entry its position and adds it. Nothing is written before [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`LedgerError::Seal`] or [`LedgerError::Store`]; the engine must not be used any more then.
    pub fn propose(&mut self, prepared: &Prepared) -> Result<TxId, LedgerError> {
        self.propose_with(prepared, Flags::default())
    }

    fn propose_internal(&mut self, writes: &WriteSet) -> Result<TxId, LedgerError> {
        self.propose(&Prepared::internal(writes, NO_CLAIMS)?)
    }

    fn propose_with(&mut self, prepared: &Prepared, flags: Flags) -> Result<TxId, LedgerError> {
        let txid = TxId { view: self.view, seqno: self.last.seqno.saturating_add(1) };
        let iv = Iv::entry(txid);
        let secret = self.secrets.at(txid.seqno);
        let secret = secret.ok_or(LedgerError::WrongKeys {
            reason: format!("there is no ledger secret for entry {}", txid.seqno),
        })?;
        let commit_evidence_digest = secret.commit_evidence_digest(txid);
        let header = PublicHeader {
            entry_type: EntryType::WithCommitEvidenceAndClaims,
            seqno: txid.seqno,
            claims_digest: prepared.claims_digest,
            commit_evidence_digest,
            reserved: 0,
        };
        self.public.clear();
        header.encode(&mut self.public);
        self.public.extend_from_slice(&prepared.public_maps);
        self.private.clear();
        self.private.extend_from_slice(&prepared.private_maps);
        let tag = secret.seal(iv, &self.public, &mut self.private)?;
        self.entry.clear();
        encode_entry(&mut self.entry, flags, &tag, iv, &self.public, &self.private)?;
        self.store.append(&self.entry)?;
        self.snapshots.appended(self.entry.len());
        let digest = crate::crypto::sha256(&self.entry);
        let leaf = crate::crypto::sha256_parts([&digest, &commit_evidence_digest, &prepared.claims_digest]);
        self.tree.append(leaf);
        self.last = txid;
        Ok(txid)
    }

    /// Adds a signature over everything so far. Closes the chunk if it is large enough, if a snapshot is due, or if `end_chunk` says
    /// so.
    ///
    /// # Errors
    /// As [`propose`](Self::propose), and [`LedgerError::Key`], [`LedgerError::Cose`].
    pub fn sign(&mut self, end_chunk: bool) -> Result<TxId, LedgerError> {
        let txid = TxId { view: self.view, seqno: self.last.seqno.saturating_add(1) };
        let root = self.tree.root();
        let mut writes = WriteSet::new();
        writes.put(TREE, SINGLE_KEY, self.tree.encode());
        if self.profile.raw() {
            writes.put(SIGNATURES, SINGLE_KEY, json(&self.raw_signature(txid, root)?));
        }
        if self.profile.cose() {
            let message = cose_sign(&self.identity.service, &root, txid, unix_seconds())?;
            writes.put(COSE_SIGNATURES, SINGLE_KEY, json(&BASE64_STANDARD.encode(message)));
        }
        let peaks = self.tree.peaks().clone();
        let snapshot = self.snapshots.is_due(txid.seqno);
        let close = end_chunk || snapshot || self.store.open_bytes() >= self.chunk_bytes;
        let flags = Flags { chunk_after: close, chunk_before: false };
        self.propose_with(&Prepared::internal(&writes, NO_CLAIMS)?, flags)?;
        if close {
            self.store.close_chunk()?;
        }
        if snapshot {
            self.snapshots.cut(txid.seqno);
        }
        self.last_signature = Some(txid);
        self.signed.push_back((txid.seqno, peaks));
        Ok(txid)
    }

    fn raw_signature(&self, txid: TxId, root: Digest) -> Result<RawSignature, LedgerError> {
        Ok(RawSignature {
            cert: Some(self.identity.node_cert.clone()),
            commit_seqno: 0,
            commit_view: 0,
            hashed_nonce: "0".repeat(64),
            node: self.identity.node_id.clone(),
            root,
            seqno: txid.seqno,
            sig: self.identity.node.sign_root(&root)?,
            view: txid.view,
        })
    }

    /// Writes what was proposed.
    ///
    /// # Errors
    /// [`LedgerError::Store`]; the engine must not be used any more then.
    pub fn flush(&mut self) -> Result<(), LedgerError> {
        Ok(self.store.flush()?)
    }

    /// What has to be synced after a [`flush`](Self::flush); may run while the engine is used for reading.
    pub fn pending_sync(&mut self) -> PendingSync {
        self.store.pending_sync()
    }

    /// Takes note that everything up to `seqno` is committed: chunks become immutable, leaves of the tree are forgotten up to
    /// the signature there.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn commit(&mut self, seqno: u64) -> Result<(), LedgerError> {
        self.store.commit(seqno)?;
        while let Some((_, peaks)) = self.signed.pop_front_if(|(signed, _)| *signed <= seqno) {
            self.tree.flush(&peaks);
        }
        self.commit_snapshot(seqno);
        Ok(())
    }

    /// Takes back everything behind `seqno`.
    ///
    /// # Errors
    /// [`StoreError::Committed`], and as [`flush`](Self::flush).
    pub fn rollback(&mut self, seqno: u64) -> Result<(), LedgerError> {
        if seqno >= self.last.seqno {
            return Ok(());
        }
        self.store.rollback(seqno)?;
        self.snapshots.rollback(seqno);
        if !self.tree.truncate(seqno.saturating_add(1)) {
            return Err(StoreError::Committed { seqno, committed: self.store.committed() }.into());
        }
        let bytes = self.store.read(seqno)?;
        let (entry, _) = Entry::parse(&bytes)?;
        self.last = entry.txid();
        while self.signed.pop_back_if(|(signed, _)| *signed > seqno).is_some() {}
        if self.last_signature.is_some_and(|signature| signature.seqno > seqno) {
            self.last_signature = resume(&self.store, None)?.map(|resumed| resumed.signature);
        }
        Ok(())
    }
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
