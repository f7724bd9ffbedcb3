//! Beginning a verification elsewhere than at entry 1: behind a snapshot.

use std::sync::Arc;

use super::{
    Check, Problem,
    signatures::{self, SignatureJob},
    state::{State, Walk},
};
use crate::{
    crypto::Certificate,
    format::{FormatError, MapWrites, Maps, SINGLE_KEY, TxId, WriteSet},
    governance::{
        self, COSE_SIGNATURES, IDENTITY_ENDORSEMENT, NODE_CERTIFICATES, NODES_INFO, NodeStatus,
        PREVIOUS_IDENTITY, SERVICE_INFO, SIGNATURES, TREE,
    },
    merkle::Tree,
    snapshot::{Snapshot, SnapshotFile},
};

type Checked<T> = Result<T, (Check, String)>;

/// Where a verification begins.
#[derive(Debug, Clone)]
pub(crate) struct Resume {
    pub(crate) state: State,
    /// The position that is known.
    pub(crate) at: TxId,
    /// Its signature holds already; otherwise it is the first entry to check.
    pub(crate) verified: bool,
    pub(crate) name: String,
}

impl Resume {
    /// Begins behind the signature that a snapshot is about. Its tree must have the root that is signed there, by a node and a
    /// service that it names.
    pub(crate) fn of_snapshot(file: &SnapshotFile) -> Result<Self, Problem> {
        let name = file.name();
        let problem = |(check, reason)| Problem {
            check,
            chunk: name.to_string(),
            seqno: Some(name.seqno),
            offset: None,
            reason,
        };
        let state = file.snapshot().map_err(unreadable).and_then(|snapshot| {
            state_after(&snapshot, TxId { view: snapshot.view(), seqno: snapshot.seqno })
        });
        let state = state.map_err(problem)?;
        let at = state.last.unwrap_or(TxId { view: 0, seqno: name.seqno });
        Ok(Self { state, at, verified: true, name: name.to_string() })
    }
}

fn unreadable(error: FormatError) -> (Check, String) {
    (Check::Snapshot, error.to_string())
}

/// The state of the verifier after the signature at `txid`. What the snapshot says of nodes, service and signature is read as if one entry had
/// written all of it.
fn state_after(snapshot: &Snapshot<'_>, txid: TxId) -> Checked<State> {
    let mut writes = WriteSet::new();
    for map in snapshot.public_maps() {
        let map = map.map_err(unreadable)?;
        let known = [NODES_INFO, NODE_CERTIFICATES, SERVICE_INFO, SIGNATURES, COSE_SIGNATURES, TREE];
        for row in map.rows().take_while(|_| known.contains(&map.name)) {
            let row = row.map_err(unreadable)?;
            writes.put(map.name, row.key, row.value);
        }
    }
    let (mut encoded, mut state) = (Vec::new(), State::new());
    writes.encode_public_maps(&mut encoded);
    let maps = Maps::of_private(&encoded).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    let map = |name: &str| maps.iter().find(|map| map.name == name);

    let tree = writes.get(TREE, &SINGLE_KEY).ok_or((Check::Tree, "it holds no tree".to_owned()))?;
    let tree = Tree::decode(tree).map_err(|error| (Check::Tree, error.to_string()))?;
    if tree.size() != txid.seqno {
        return Err((Check::Tree, format!("its tree has {} leaves", tree.size())));
    }
    state.tree = tree.peaks().clone();
    let root = tree.root();
    let mut walk = Walk::new(state);
    walk.nodes(map(NODES_INFO), map(NODE_CERTIFICATES))?;
    let service = map(SERVICE_INFO).ok_or((Check::Service, "it names no service".to_owned()))?;
    walk.service(txid, service)?;
    check_certificates(&walk.state)?;
    check_signatures(&walk, txid, map(SIGNATURES), map(COSE_SIGNATURES), &root, map(TREE))?;

    let mut state = walk.state;
    state.tree.append(snapshot.leaf);
    state.last = Some(txid);
    state.signed_root = Some(root);
    if let Some(row) = snapshot.get(PREVIOUS_IDENTITY, &SINGLE_KEY).map_err(unreadable)? {
        let pem: String = governance::parse(PREVIOUS_IDENTITY, row.value).map_err(unreadable)?;
        let certificate = Certificate::from_pem(pem.as_bytes());
        let key = certificate.map_err(|error| (Check::Certificate, error.to_string()))?.key().clone();
        state.known_services.push(Arc::new(key));
    }
    let endorsement = snapshot.get(IDENTITY_ENDORSEMENT, &SINGLE_KEY).map_err(unreadable)?;
    state.last_endorsement = endorsement.map(|row| row.version);
    Ok(state)
}

/// Nodes that may sign have certificates of the service. Those of retired ones may be older than it.
fn check_certificates(state: &State) -> Checked<()> {
    for (id, status) in &state.nodes {
        let certificate = state.certificates.get(id).filter(|_| *status == NodeStatus::Trusted);
        let (Some(certificate), Some(service)) = (certificate, &state.service) else { continue };
        let parsed = Certificate::from_pem(&certificate.pem);
        let parsed = parsed.map_err(|error| (Check::Certificate, error.to_string()))?;
        if !parsed.is_signed_by(&service.key) {
            return Err((
                Check::Certificate,
                format!("the certificate of node {id} is not issued by the service"),
            ));
        }
    }
    Ok(())
}

fn check_signatures(
    walk: &Walk,
    txid: TxId,
    raw: Option<&MapWrites<'_>>,
    cose: Option<&MapWrites<'_>>,
    root: &[u8; 32],
    tree: Option<&MapWrites<'_>>,
) -> Checked<()> {
    let mut jobs: Vec<SignatureJob> = Vec::new();
    // A kind of signature that came to an end keeps its last value in the maps.
    let mut stale = 0;
    for job in [raw.map(|map| walk.raw(txid, map, root, tree)), cose.map(|map| walk.cose(txid, map, root))] {
        match job {
            Some(Ok(job)) => jobs.push(job),
            Some(Err((Check::SignatureEntry | Check::CoseSignature, _))) => stale += 1,
            Some(Err(error)) => return Err(error),
            None => {}
        }
    }
    if jobs.is_empty() {
        let reason = if stale > 0 { "its signature is about another entry" } else { "it holds no signature" };
        return Err((Check::SignatureEntry, reason.into()));
    }
    signatures::check(&jobs).problem.map_or(Ok(()), |problem| Err((problem.check, problem.reason)))
}
