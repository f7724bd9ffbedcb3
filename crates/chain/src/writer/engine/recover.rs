//! Disaster recovery: a new service goes on with the ledger of one whose keys are lost.

use super::{
    Engine,
    identity::{HistoricalSecret, PreviousSecret},
    resume::{base, open_store, resume},
    snapshots::Snapshots,
    unix_seconds,
};
use crate::{
    crypto::{Certificate, Curve, LedgerSecret, cose_endorse, endorsement_certificate},
    format::{Flags, SINGLE_KEY, TxId, WriteSet},
    governance::{
        ENDORSEMENT_CERTIFICATES, HISTORICAL_SECRET, IDENTITY_ENDORSEMENT, IdentityEndorsement, NODES_INFO,
        NodeInfo, NodeStatus, PREVIOUS_IDENTITY, PREVIOUS_ROOT, SERVICE_INFO, ServiceInfo, ServiceStatus,
        json,
    },
    snapshot::{self, SnapshotName},
    store::{ChunkStore, StoreError},
    verify::{Secrets, Survey},
    writer::{Home, Identity, LedgerError, Prepared, Settings, keys},
};

/// What a recovery found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Everything up to here was verified and kept.
    pub kept_until: TxId,
    /// So many entries behind it were not signed. They were taken off the ledger, and lie in `unsigned` in the home.
    pub unsigned_entries: u64,
    /// The first and the last of the entries that had been synced here and are missing now.
    pub lost: Option<(u64, u64)>,
    /// A file in the ledger's folder with what could not be read at the end of the open chunk.
    pub set_aside: Option<String>,
    /// Snapshots of entries that are not there any more, by the names that they have now; nobody reads them.
    pub snapshots_set_aside: Vec<String>,
    /// The snapshot that stands for chunks that are not there.
    pub from_snapshot: Option<SnapshotName>,
    /// The first entry of the new service.
    pub created: TxId,
    /// Whether secrets were found, so that private maps of before can be read.
    pub private_readable: bool,
}

impl Engine {
    /// Makes new keys and goes on with the ledger in `home`, of which nothing but the chunk files is needed; a snapshot may stand for
    /// the first of them, or for all. It is verified first;
    /// what no signature covers is taken off. The new service endorses the old one, so that receipts of before stay valid.
    ///
    /// Secrets of the old ledger are used if `keys/ledger_secrets` is there; without it private maps of before stay closed.
    ///
    /// # Errors
    /// [`LedgerError::Unverified`] if the ledger is damaged before its last signature, and what can go wrong with files and keys.
    pub fn recover(home: &Home, settings: &Settings) -> Result<(Self, Recovery), LedgerError> {
        home.make()?;
        home.keys().settle()?;
        let base = base(home)?;
        let (mut store, found) = open_store(home, &Secrets::none(), base.as_ref(), true)?;
        let survey = Survey::of(&home.ledger(), base.as_ref())?;
        let kept = survey.verified_until.ok_or_else(|| LedgerError::NoLedger { path: home.path() })?;
        let unsigned_entries = store.last().saturating_sub(kept.seqno);
        set_aside(home, &store, kept.seqno)?;
        store.rollback(kept.seqno)?;
        let snapshots_set_aside = snapshot::set_aside_behind(&*home.snapshots(), kept.seqno)?;
        let resumed =
            resume(&store, base.as_ref())?.ok_or_else(|| LedgerError::NoLedger { path: home.path() })?;

        let folder = home.keys();
        let mut secrets = match folder.load_secrets() {
            Ok(secrets) => secrets,
            Err(LedgerError::File(error)) if error.kind() == std::io::ErrorKind::NotFound => Secrets::none(),
            Err(error) => return Err(error),
        };
        let private_readable = secrets.at(1).is_some();
        let next = LedgerSecret::generate()?;
        let from = kept.seqno.saturating_add(1);
        let historical = match secrets.entry_at(kept.seqno) {
            Some((version, previous)) => Some(HistoricalSecret {
                next_version: Some(from),
                previous_ledger_secret: PreviousSecret::new(previous, version, &next)?,
            }),
            None => None,
        };
        secrets.insert(from, next);
        let identity = Identity::generate(Curve::P384, unix_seconds())?;
        // Secrets and keys before entries: should the power fail in between, recovering again is all it takes.
        folder.store_secrets(&secrets)?;
        identity.store(&folder)?;
        // Two views on, as services do after a disaster.
        let view = keys::next_view(&*folder.dir, resumed.last.view.saturating_add(1))?;
        let snapshots = Snapshots::open(home, &store, settings)?;
        let mut engine = Self::assemble(store, identity, secrets, settings, view, snapshots).resumed(resumed);
        let created = engine.reopen_service(&survey, historical.as_ref())?;
        engine.flush()?;
        engine.pending_sync().run()?;
        let last = engine.last.seqno;
        engine.commit(last)?;
        let recovery = Recovery {
            kept_until: kept,
            unsigned_entries,
            lost: found.lost,
            set_aside: found.set_aside,
            snapshots_set_aside,
            from_snapshot: base.map(|base| base.file.name()),
            created,
            private_readable,
        };
        Ok((engine, recovery))
    }

    /// The entries by which the new service takes over.
    fn reopen_service(
        &mut self,
        survey: &Survey,
        historical: Option<&HistoricalSecret>,
    ) -> Result<TxId, LedgerError> {
        self.store.close_chunk()?;
        let created = TxId { view: self.view, seqno: self.last.seqno.saturating_add(1) };
        let mut info = ServiceInfo {
            cert: self.identity.service_cert.clone(),
            current_service_create_txid: Some(created.to_string()),
            recovery_count: Some(survey.recovery_count.saturating_add(1)),
            status: ServiceStatus::Recovering,
        };
        let mut writes = WriteSet::new();
        writes.put(SERVICE_INFO, SINGLE_KEY, json(&info));
        let retired = NodeInfo { cert: None, status: NodeStatus::Retired };
        for node in &survey.nodes {
            writes.put(NODES_INFO, node.as_bytes(), json(&retired));
        }
        self.identity.trust_node(&mut writes);
        if let Some(pem) = &survey.service_pem {
            writes.put(PREVIOUS_IDENTITY, SINGLE_KEY, json(pem));
        }
        let root = survey.signed_root.unwrap_or_default();
        writes.put(PREVIOUS_ROOT, SINGLE_KEY, json(&hex::encode(root)));
        let flags = Flags { chunk_after: false, chunk_before: true };
        self.propose_with(&Prepared::internal(&writes, [0; 32])?, flags)?;
        self.sign(false)?;

        info.status = ServiceStatus::WaitingForRecoveryShares;
        let mut writes = WriteSet::new();
        writes.put(SERVICE_INFO, SINGLE_KEY, json(&info));
        self.propose_internal(&writes)?;
        info.status = ServiceStatus::Open;
        let mut writes = WriteSet::new();
        writes.put(SERVICE_INFO, SINGLE_KEY, json(&info));
        if let Some(historical) = historical {
            writes.put(HISTORICAL_SECRET, SINGLE_KEY, json(historical));
        }
        if let (Some(pem), Some(end)) = (&survey.service_pem, survey.verified_until) {
            self.endorse_former(&mut writes, pem, survey, end)?;
        }
        self.propose_internal(&writes)?;
        self.sign(false)?;
        Ok(created)
    }

    fn endorse_former(
        &self,
        writes: &mut WriteSet,
        pem: &str,
        survey: &Survey,
        end: TxId,
    ) -> Result<(), LedgerError> {
        let former = Certificate::from_pem(pem.as_bytes())?;
        let begin = survey.service_created.unwrap_or(TxId { view: end.view, seqno: 1 });
        let root = survey.signed_root.unwrap_or_default();
        let service = &self.identity.service;
        let endorsement = cose_endorse(service, former.key(), (begin, end), &root, unix_seconds())?;
        let value = IdentityEndorsement {
            endorsement,
            endorsement_epoch_begin: begin.to_string(),
            endorsement_epoch_end: Some(end.to_string()),
            endorsing_key: service.public().spki().to_vec(),
            previous_version: survey.last_endorsement,
        };
        writes.put(IDENTITY_ENDORSEMENT, SINGLE_KEY, json(&value));
        let certificate = endorsement_certificate(former.key(), service, unix_seconds())?;
        writes.put(ENDORSEMENT_CERTIFICATES, end.seqno.to_le_bytes(), json(&certificate));
        Ok(())
    }
}

/// Keeps the entries behind `kept`, in the form of a chunk, outside the ledger.
fn set_aside(home: &Home, store: &ChunkStore, kept: u64) -> Result<(), LedgerError> {
    let mut bytes = vec![0; 8];
    for seqno in kept.saturating_add(1)..=store.last() {
        bytes.extend(store.read(seqno)?);
    }
    if bytes.len() > 8 {
        let name = format!("unsigned/ledger_{}", kept.saturating_add(1));
        home.dir().create_dir_all(std::path::Path::new("unsigned"))?;
        ledger_fs::replace(&**home.dir(), std::path::Path::new(&name), &bytes)?;
    }
    Ok(())
}

/// Used by [`Engine::recover`] when the ledger cannot be surveyed.
impl From<crate::verify::SurveyError> for LedgerError {
    fn from(error: crate::verify::SurveyError) -> Self {
        match error {
            crate::verify::SurveyError::File(error) => StoreError::from(error).into(),
            crate::verify::SurveyError::Damaged(problem) => Self::Unverified { problem: problem.to_string() },
        }
    }
}
