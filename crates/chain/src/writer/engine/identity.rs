//! Changes of keys: a new node key, a new ledger secret.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;

use super::{Engine, unix_seconds};
use crate::{
    crypto::{Curve, LedgerSecret, PrivateKey},
    format::{SINGLE_KEY, TxId, WriteSet},
    governance::{HISTORICAL_SECRET, NODES_INFO, NodeInfo, NodeStatus, json},
    writer::{Home, Identity, LedgerError},
};

#[derive(Serialize)]
pub(super) struct HistoricalSecret {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_version: Option<u64>,
    pub(super) previous_ledger_secret: PreviousSecret,
}

#[derive(Serialize)]
pub(super) struct PreviousSecret {
    encrypted_data: String,
    version: u64,
}

impl PreviousSecret {
    /// Encrypts the raw previous secret with its successor.
    pub(super) fn new(
        previous: &LedgerSecret,
        version: u64,
        next: &LedgerSecret,
    ) -> Result<Self, LedgerError> {
        Ok(Self { encrypted_data: BASE64_STANDARD.encode(next.wrap(previous)?), version })
    }
}

impl Engine {
    /// Gives the node a new key. The entry that trusts the new key and retires the old one is still signed with the old one;
    /// entries and receipts signed before stay valid.
    ///
    /// # Errors
    /// [`LedgerError`]; the engine must not be used any more then, but opened again.
    pub fn rotate_node_key(&mut self, home: &Home, curve: Curve) -> Result<TxId, LedgerError> {
        let service = PrivateKey::from_pem(&self.identity.service.to_pem(None)?, None)?;
        let next =
            Identity::with_new_node(service, self.identity.service_cert.clone(), curve, unix_seconds())?;
        let mut writes = WriteSet::new();
        let retired = NodeInfo { cert: None, status: NodeStatus::Retired };
        writes.put(NODES_INFO, self.identity.node_id.as_bytes(), json(&retired));
        next.trust_node(&mut writes);
        self.propose_internal(&writes)?;
        let signature = self.sign(false)?;
        self.flush()?;
        self.pending_sync().run()?;
        // The ledger first: should the keys not get there, the old ones still open it, and rotating again is all it takes.
        next.store(&home.keys())?;
        self.identity = next;
        Ok(signature)
    }

    /// Encrypts private maps with a new ledger secret from the entry after the next on.
    ///
    /// # Errors
    /// [`LedgerError`]; the engine must not be used any more then, but opened again.
    pub fn rotate_ledger_secret(&mut self, home: &Home) -> Result<TxId, LedgerError> {
        let next = LedgerSecret::generate()?;
        let seqno = self.last.seqno.saturating_add(1);
        let (version, previous) = self.secrets.entry_at(seqno).ok_or_else(|| LedgerError::WrongKeys {
            reason: format!("there is no ledger secret for entry {seqno}"),
        })?;
        let previous_ledger_secret = PreviousSecret::new(previous, version, &next)?;
        let mut writes = WriteSet::new();
        writes.put(
            HISTORICAL_SECRET,
            SINGLE_KEY,
            json(&HistoricalSecret { next_version: None, previous_ledger_secret }),
        );
        // The file first: an entry that is encrypted with a secret that nobody has would be lost.
        self.secrets.insert(seqno.saturating_add(1), next);
        home.keys().store_secrets(&self.secrets)?;
        self.propose_internal(&writes)
    }
}
