//! The part of the work that needs the order of the ledger: the tree, the nodes, the service, and what to check at each
//! signature. The signatures themselves are checked elsewhere, in parallel.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Check, Problem, Survey, Tail,
    digest::{Digested, DigestedEntry},
    signatures::SignatureJob,
};
use crate::{
    crypto::{Certificate, CoseSign1, PublicKey},
    format::{Digest, Entry, FormatError, MapWrites, PublicDomain, SINGLE_KEY, TxId},
    governance::{
        self, COSE_SIGNATURES, IDENTITY_ENDORSEMENT, IdentityEndorsement, NODE_CERTIFICATES, NODES_INFO,
        NodeInfo, NodeStatus, PREVIOUS_IDENTITY, PREVIOUS_ROOT, RawSignature, SERVICE_INFO, SIGNATURES,
        ServiceInfo, ServiceStatus, TREE,
    },
    merkle::{Peaks, Subtree, Tree},
};

/// Leaves remembered since the last signature, to name a changed entry: 8 MiB at most.
const MAX_REMEMBERED_LEAVES: usize = 1 << 18;

/// What is known of the ledger at some point of it.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) tree: Peaks,
    pub(crate) last: Option<TxId>,
    pub(crate) nodes: BTreeMap<String, NodeStatus>,
    pub(crate) certificates: BTreeMap<String, NodeCertificate>,
    pub(crate) service: Option<Service>,
    /// All services so far; each costs a disaster.
    pub(crate) known_services: Vec<Arc<PublicKey>>,
    /// Sequence number of the last endorsement of a service.
    pub(crate) last_endorsement: Option<u64>,
    /// Root of the last signature.
    pub(crate) signed_root: Option<Digest>,
}

#[derive(Debug, Clone)]
pub(crate) struct NodeCertificate {
    pub(crate) pem: Arc<[u8]>,
    pub(crate) key: Arc<PublicKey>,
    /// Begin and end, in seconds since 1970.
    pub(crate) validity: (i64, i64),
}

#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) info: ServiceInfo,
    pub(crate) key: Arc<PublicKey>,
    pub(crate) validity: (i64, i64),
}

/// Goes through the entries in order.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) state: State,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    pub(crate) tail: Option<Tail>,
    pub(crate) deprecated: u64,
    pub(crate) unordered: u64,
    /// Signatures made when the certificate of who signed was not valid.
    pub(crate) outdated: u64,
    pub(crate) services: Vec<TxId>,
    /// The last signature, and what was known just before it.
    pub(crate) before_signature: Option<(TxId, State)>,
    /// What was known in the beginning.
    begin: State,
    /// Number of the next entry. The tree grows in larger steps.
    next: u64,
    /// The leaves since the last signature, and the tree before them.
    remembered: Vec<Digest>,
    before_remembered: Peaks,
    last_is_signature: bool,
}

type Check1<T> = Result<T, (Check, String)>;

fn value_error(error: FormatError) -> (Check, String) {
    (Check::Entry, error.to_string())
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            tree: Peaks::ledger(),
            last: None,
            nodes: BTreeMap::new(),
            certificates: BTreeMap::new(),
            service: None,
            known_services: Vec::new(),
            last_endorsement: None,
            signed_root: None,
        }
    }
}

impl Walk {
    pub(crate) fn new(state: State) -> Self {
        Self {
            begin: state.clone(),
            next: state.tree.size(),
            before_remembered: state.tree.clone(),
            state,
            entries: 0,
            bytes: 0,
            tail: None,
            deprecated: 0,
            unordered: 0,
            outdated: 0,
            services: Vec::new(),
            before_signature: None,
            remembered: Vec::new(),
            last_is_signature: false,
        }
    }

    /// What the ledger says of itself at its last signature; entries behind that may be of a recovery that was cut off.
    pub(crate) fn survey(&self) -> Survey {
        let (state, signed_root) = match &self.before_signature {
            Some((_, state)) => (state, Some(state.tree.root())),
            None => (&self.begin, self.begin.signed_root),
        };
        let service = state.service.as_ref();
        let nodes = state.nodes.iter().filter(|(_, status)| **status != NodeStatus::Retired);
        Survey {
            verified_until: None,
            signed_root,
            service_pem: service.map(|service| service.info.cert.clone()),
            service_created: service
                .and_then(|service| service.info.current_service_create_txid.as_ref()?.parse().ok()),
            recovery_count: service.and_then(|service| service.info.recovery_count).unwrap_or(0),
            nodes: nodes.map(|(id, _)| id.clone()).collect(),
            last_endorsement: state.last_endorsement,
        }
    }

    /// Takes the next batch; signatures to check are pushed to `jobs`.
    pub(crate) fn take(&mut self, digested: &Digested, jobs: &mut Vec<SignatureJob>) -> Result<(), Problem> {
        let batch = &digested.batch;
        // A checkpoint in the middle of a batch: what it covers is not looked at again, and its subtrees are of no use.
        let resumes = batch.first_seqno < self.next;
        let mut subtrees = digested.subtrees.iter();
        for (index, entry) in digested.entries.iter().enumerate() {
            let bytes = batch.entry(index);
            let first = batch.begins_chunk && index == 0;
            let last = batch.ends_chunk && index.saturating_add(1) == batch.starts.len();
            let closed = batch.chunk.name.end.is_some();
            let problem = |(check, reason)| Problem {
                check,
                chunk: batch.chunk.file_name(),
                seqno: Some(entry.txid.seqno),
                offset: Some(batch.entry_offset(index)),
                reason,
            };
            if resumes && entry.txid.seqno < self.next {
                continue;
            }
            if entry.watched && !resumes {
                self.grow(entry.txid.seqno, &mut subtrees);
            }
            let jobs_before = jobs.len();
            self.entry(entry, bytes, jobs).map_err(problem)?;
            self.edges(entry, first, last, closed).map_err(problem)?;
            for job in jobs.iter_mut().skip(jobs_before) {
                job.locate(&batch.chunk, batch.entry_offset(index));
            }
            if resumes {
                self.state.tree.append(entry.leaf);
            }
        }
        if !resumes {
            self.grow(self.next, &mut subtrees);
        }
        digested.problem.clone().map_or(Ok(()), Err)
    }

    /// Adds subtrees to the tree until it holds all leaves below `size`.
    fn grow(&mut self, size: u64, subtrees: &mut std::slice::Iter<'_, Subtree>) {
        while self.state.tree.size() < size
            && let Some(subtree) = subtrees.next()
        {
            self.state.tree.append_subtree(*subtree);
        }
    }

    fn edges(&self, entry: &DigestedEntry, first: bool, last: bool, closed: bool) -> Check1<()> {
        let fail = |reason: &str| Err((Check::ChunkEnd, reason.to_owned()));
        if entry.flags.chunk_before && !first {
            return fail("the entry wants to begin a chunk, but stands within one");
        }
        if entry.flags.chunk_after && !self.last_is_signature {
            return fail("an entry that is no signature wants to end a chunk");
        }
        if entry.flags.chunk_after && !(last && closed) {
            return fail("the entry wants to end a chunk, but does not");
        }
        if last && closed && !self.last_is_signature {
            return fail("the chunk is closed, but its last entry is no signature");
        }
        Ok(())
    }

    fn entry(&mut self, entry: &DigestedEntry, bytes: &[u8], jobs: &mut Vec<SignatureJob>) -> Check1<()> {
        let txid = entry.txid;
        if txid.seqno != self.next {
            let reason = format!("the entry is number {}, number {} should follow", txid.seqno, self.next);
            return Err((Check::Position, reason));
        }
        if let Some(last) = self.state.last.filter(|last| last.view > txid.view) {
            return Err((Check::Position, format!("view {} follows view {}", txid.view, last.view)));
        }
        let signed = if entry.watched { self.watched(entry, bytes, jobs)? } else { None };
        self.last_is_signature = signed.is_some();
        if let Some(root) = signed {
            self.before_signature = Some((txid, self.state.clone()));
            self.state.signed_root = Some(root);
            self.remembered.clear();
            self.before_remembered.clone_from(&self.state.tree);
            self.tail = None;
        } else {
            let tail = self.tail.get_or_insert(Tail { from: txid, to: txid, entries: 0 });
            tail.to = txid;
            tail.entries = tail.entries.saturating_add(1);
        }
        if self.remembered.len() < MAX_REMEMBERED_LEAVES {
            self.remembered.push(entry.leaf);
        }
        self.next = self.next.saturating_add(1);
        self.state.last = Some(txid);
        self.entries = self.entries.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        self.deprecated = self.deprecated.saturating_add(u64::from(entry.deprecated));
        self.unordered = self.unordered.saturating_add(u64::from(entry.unordered));
        Ok(())
    }

    /// An entry that says something about nodes, service or signatures; gives the root if it is a signature.
    fn watched(
        &mut self,
        entry: &DigestedEntry,
        bytes: &[u8],
        jobs: &mut Vec<SignatureJob>,
    ) -> Check1<Option<Digest>> {
        let (parsed, _) = Entry::parse(bytes).map_err(value_error)?;
        let domain = PublicDomain::parse(parsed.public).map_err(value_error)?;
        let maps = domain.maps().collect::<Result<Vec<_>, _>>().map_err(value_error)?;
        let map = |name: &str| maps.iter().find(|map| map.name == name);
        self.nodes(map(NODES_INFO), map(NODE_CERTIFICATES))?;
        let service_before = self.state.service.clone();
        if let Some(map) = map(SERVICE_INFO) {
            self.service(entry.txid, map)?;
        }
        if map(NODE_CERTIFICATES).is_some() || map(SERVICE_INFO).is_some() {
            self.endorse(map(NODE_CERTIFICATES))?;
        }
        self.recovery(map(PREVIOUS_IDENTITY), map(PREVIOUS_ROOT), service_before.as_ref())?;
        if let Some(map) = map(IDENTITY_ENDORSEMENT) {
            self.endorsement(map)?;
            self.state.last_endorsement = Some(entry.txid.seqno);
        }

        let (raw, cose, tree) = (map(SIGNATURES), map(COSE_SIGNATURES), map(TREE));
        if raw.is_none() && cose.is_none() {
            return match tree {
                Some(_) => Err((Check::SignatureEntry, "the entry holds a tree, but no signature".into())),
                None => Ok(None),
            };
        }
        let expected = [raw, cose, tree].iter().flatten().count();
        if maps.len() != expected || entry.private {
            return Err((
                Check::SignatureEntry,
                "a signature entry holds something besides signatures".into(),
            ));
        }
        let root = self.state.tree.root();
        self.tree(tree, &root)?;
        let before = jobs.len();
        if let Some(map) = raw {
            jobs.push(self.raw(entry.txid, map, &root, tree)?);
        }
        if let Some(map) = cose {
            jobs.push(self.cose(entry.txid, map, &root)?);
        }
        self.dates(jobs.get(before..).unwrap_or_default());
        Ok(Some(root))
    }

    /// Compares the time that a COSE signature names with the dates of the certificates. A proof does not end with them, and nobody
    /// else tells the time, so this is only counted.
    fn dates(&mut self, jobs: &[SignatureJob]) {
        let Some(time) = jobs.iter().find_map(SignatureJob::issued_at) else { return };
        let service = self.state.service.iter().map(|service| (&service.key, service.validity));
        let nodes = self.state.certificates.values().map(|node| (&node.key, node.validity));
        let signed = |key: &Arc<PublicKey>| jobs.iter().any(|job| Arc::ptr_eq(job.key(), key));
        let mut signers = service.chain(nodes).filter(|(key, _)| signed(key));
        let outdated = signers.any(|(_, (begin, end))| !(begin..=end).contains(&time));
        self.outdated = self.outdated.saturating_add(u64::from(outdated));
    }

    pub(super) fn nodes(
        &mut self,
        info: Option<&MapWrites<'_>>,
        certificates: Option<&MapWrites<'_>>,
    ) -> Check1<()> {
        let mut own = Vec::new();
        for (id, value) in info.iter().flat_map(|map| map.iter()) {
            let id = node_id(id)?;
            let Some(value) = value else {
                if self.state.nodes.remove(&id).is_none() {
                    return Err((Check::Signer, format!("node {id} is removed, but was never there")));
                }
                continue;
            };
            let node: NodeInfo = governance::parse(NODES_INFO, value).map_err(value_error)?;
            if let Some(pem) = node.cert {
                own.push(id.clone());
                self.certificate(&id, pem.as_bytes())?;
            }
            self.state.nodes.insert(id, node.status);
        }
        for (id, value) in certificates.iter().flat_map(|map| map.iter()) {
            let id = node_id(id)?;
            if own.contains(&id) {
                return Err((Check::Certificate, format!("node {id} gets two certificates in one entry")));
            }
            match value {
                Some(pem) => self.certificate(&id, pem)?,
                None if self.state.certificates.remove(&id).is_none() => {
                    return Err((
                        Check::Certificate,
                        format!("the certificate of node {id} is removed, but was never there"),
                    ));
                }
                None => {}
            }
        }
        Ok(())
    }

    fn certificate(&mut self, id: &str, pem: &[u8]) -> Check1<()> {
        let certificate = Certificate::from_pem(pem)
            .map_err(|error| (Check::Certificate, format!("certificate of node {id}: {error}")))?;
        if certificate.key().id() != id {
            // Ids of 1.x nodes are digests of something else; their certificates sign themselves.
            if !certificate.is_self_signed() {
                return Err((Check::Signer, format!("node {id} has the id of another key")));
            }
        }
        let key = Arc::new(certificate.key().clone());
        let entry = NodeCertificate { pem: pem.into(), key, validity: certificate.validity() };
        self.state.certificates.insert(id.to_owned(), entry);
        Ok(())
    }

    /// Every certificate of this entry is issued by the service in force after it, if there is one.
    fn endorse(&self, certificates: Option<&MapWrites<'_>>) -> Check1<()> {
        for (id, value) in certificates.iter().flat_map(|map| map.iter()) {
            let Some(pem) = value else { continue };
            let id = node_id(id)?;
            let certificate = Certificate::from_pem(pem)
                .map_err(|error| (Check::Certificate, format!("certificate of node {id}: {error}")))?;
            let issued =
                self.state.service.as_ref().is_some_and(|service| certificate.is_signed_by(&service.key));
            if !issued && self.state.service.is_some() {
                return Err((
                    Check::Certificate,
                    format!("the certificate of node {id} is not issued by the service"),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn service(&mut self, txid: TxId, map: &MapWrites<'_>) -> Check1<()> {
        let Some(Some(value)) = map.get(&SINGLE_KEY) else {
            return Err((Check::Service, "the entry writes service information without a value".into()));
        };
        let info: ServiceInfo = governance::parse(SERVICE_INFO, value).map_err(value_error)?;
        let certificate = Certificate::from_pem(info.cert.as_bytes())
            .map_err(|error| (Check::Certificate, format!("certificate of the service: {error}")))?;
        let before = self.state.service.as_ref();
        if let Some(before) = before.filter(|before| !before.info.status.may_become(info.status)) {
            return Err((
                Check::Service,
                format!("the service goes from {:?} to {:?}", before.info.status, info.status),
            ));
        }
        if before.is_some_and(|before| *before.key != *certificate.key()) {
            if !matches!(info.status, ServiceStatus::Recovering | ServiceStatus::Opening) {
                let reason = format!("the service changes its key while it is {:?}", info.status);
                return Err((Check::Service, reason));
            }
            self.services.push(txid);
        }
        let key = Arc::new(certificate.key().clone());
        if !self.state.known_services.contains(&key) {
            self.state.known_services.push(Arc::clone(&key));
        }
        self.state.service = Some(Service { info, key, validity: certificate.validity() });
        Ok(())
    }

    /// After a recovery the ledger names the service before it and the last root that it signed.
    fn recovery(
        &self,
        identity: Option<&MapWrites<'_>>,
        root: Option<&MapWrites<'_>>,
        before: Option<&Service>,
    ) -> Check1<()> {
        if let (Some(Some(Some(value))), Some(before)) = (identity.map(|map| map.get(&SINGLE_KEY)), before) {
            let pem: String = governance::parse(PREVIOUS_IDENTITY, value).map_err(value_error)?;
            let named = Certificate::from_pem(pem.as_bytes()).map_err(|error| {
                (Check::Certificate, format!("certificate of the previous service: {error}"))
            })?;
            if *named.key() != *before.key {
                return Err((
                    Check::Service,
                    "the entry names another previous service than the ledger has".into(),
                ));
            }
        }
        if let (Some(Some(Some(value))), Some(signed)) =
            (root.map(|map| map.get(&SINGLE_KEY)), self.state.signed_root)
        {
            let named: String = governance::parse(PREVIOUS_ROOT, value).map_err(value_error)?;
            if named != hex::encode(signed) {
                return Err((
                    Check::Service,
                    "the entry names another last signed root than the ledger has".into(),
                ));
            }
        }
        Ok(())
    }

    /// A service endorses a service that was in force before it, or itself.
    fn endorsement(&self, map: &MapWrites<'_>) -> Check1<()> {
        let fail = |reason: &str| Err((Check::Service, format!("the endorsement of a service {reason}")));
        let value: IdentityEndorsement =
            governance::parse(IDENTITY_ENDORSEMENT, single(map)?).map_err(value_error)?;
        let message =
            CoseSign1::parse(&value.endorsement).map_err(|error| (Check::Service, error.to_string()))?;
        let Some(service) = &self.state.service else { return fail("comes before the service") };
        if value.endorsing_key != service.key.spki() {
            return fail("is not by the service in force");
        }
        if !message.verifies_payload(&service.key) {
            return fail("does not hold");
        }
        let endorsed = message.payload().unwrap_or_default();
        if !self.state.known_services.iter().any(|key| key.spki() == endorsed) {
            return fail("is about a service that was never in force");
        }
        Ok(())
    }

    fn tree(&self, map: Option<&MapWrites<'_>>, root: &Digest) -> Check1<()> {
        let Some(map) = map else { return Ok(()) };
        let value = map.get(&SINGLE_KEY).flatten();
        let value = value.ok_or((Check::SignatureEntry, "the recorded tree has no value".to_owned()))?;
        // The usual case: it begins at the last signature, as here.
        let remembered = self.before_remembered.size().saturating_add(self.remembered.len() as u64);
        if remembered == self.next && Tree::is_encoding(value, &self.before_remembered, &self.remembered) {
            return Ok(());
        }
        let tree = Tree::decode(value).map_err(|error| (Check::Tree, error.to_string()))?;
        if tree.size() == self.state.tree.size() && tree.root() == *root {
            return Ok(());
        }
        match self.changed(&tree) {
            Some(seqno) => Err((
                Check::Leaf,
                format!("entry {seqno} is not the one that was recorded when it was signed"),
            )),
            None => Err((Check::Tree, "the recorded tree is not the tree of the entries".into())),
        }
    }

    /// The first entry since the last signature whose leaf is not the recorded one.
    fn changed(&self, tree: &Tree) -> Option<u64> {
        let first = self.state.tree.size().checked_sub(self.remembered.len() as u64)?;
        let mut leaves = self.remembered.iter().zip(first..);
        leaves.find_map(|(leaf, seqno)| (tree.leaf(seqno)? != *leaf).then_some(seqno))
    }

    pub(super) fn raw(
        &self,
        txid: TxId,
        map: &MapWrites<'_>,
        root: &Digest,
        tree: Option<&MapWrites<'_>>,
    ) -> Check1<SignatureJob> {
        let value = single(map)?;
        let signature: RawSignature = governance::parse(SIGNATURES, value).map_err(value_error)?;
        if signature.txid() != txid {
            return Err((Check::SignatureEntry, format!("the signature says it is {}", signature.txid())));
        }
        let node = &signature.node;
        match self.state.nodes.get(node) {
            None => return Err((Check::Signer, format!("node {node} signed, but is not known"))),
            Some(NodeStatus::Pending) => {
                return Err((Check::Signer, format!("node {node} signed, but is not trusted yet")));
            }
            Some(NodeStatus::Trusted | NodeStatus::Retired) => {}
        }
        let certificate = self.state.certificates.get(node);
        let certificate =
            certificate.ok_or_else(|| (Check::Signer, format!("node {node} has no certificate")))?;
        if let Some(own) = signature.cert.as_deref().filter(|own| own.as_bytes() != &*certificate.pem) {
            let own = Certificate::from_pem(own.as_bytes())
                .map_err(|error| (Check::Certificate, format!("certificate in the signature: {error}")))?;
            // A renewed certificate differs from the recorded one, but not in its key, and somebody signed it.
            let issued = self.state.service.as_ref().is_some_and(|service| own.is_signed_by(&service.key));
            if *own.key() != *certificate.key || !(issued || own.is_self_signed()) {
                return Err((
                    Check::Signer,
                    format!("the certificate in the signature is not that of node {node}"),
                ));
            }
        }
        if signature.root != *root {
            let changed = tree
                .and_then(|map| Tree::decode(map.get(&SINGLE_KEY)??).ok())
                .and_then(|tree| self.changed(&tree));
            let reason = match (changed, &self.tail) {
                (Some(seqno), _) => format!("entry {seqno} is not the one that was signed"),
                (None, Some(tail)) => format!(
                    "the entries do not have the root that was signed: one of {} to {} was changed, or the signature",
                    tail.from, tail.to
                ),
                (None, None) => "the entries do not have the root that was signed".into(),
            };
            return Err((Check::Root, reason));
        }
        Ok(SignatureJob::raw(txid, Arc::clone(&certificate.key), *root, signature.sig))
    }

    pub(super) fn cose(&self, txid: TxId, map: &MapWrites<'_>, root: &Digest) -> Check1<SignatureJob> {
        let message = governance::parse_cose(single(map)?).map_err(value_error)?;
        let message =
            CoseSign1::parse(&message).map_err(|error| (Check::CoseSignature, error.to_string()))?;
        let service = self.state.service.as_ref();
        let service = service
            .ok_or((Check::Signer, "the service signed, but its certificate is not known".to_owned()))?;
        let headers = message.headers();
        let fail = |reason: String| Err((Check::CoseSignature, reason));
        if headers.txid.as_deref().is_some_and(|named| named != txid.to_string()) {
            return fail(format!(
                "the COSE signature says it is {}",
                headers.txid.as_deref().unwrap_or_default()
            ));
        }
        if headers.kid.as_deref().is_some_and(|kid| kid != service.key.id()) {
            return fail("the COSE signature names another key than the service's".into());
        }
        if headers.vds.is_some_and(|vds| vds != 2) {
            return fail("the COSE signature names an unknown kind of tree".into());
        }
        if message.payload().is_some() {
            return fail("the COSE signature has a payload of its own".into());
        }
        Ok(SignatureJob::cose(txid, Arc::clone(&service.key), *root, message))
    }
}

fn single<'a>(map: &MapWrites<'a>) -> Check1<&'a [u8]> {
    let mut rows = map.iter();
    match (rows.next(), rows.next()) {
        (Some((key, Some(value))), None) if key == SINGLE_KEY => Ok(value),
        _ => Err((Check::SignatureEntry, format!("{} must hold exactly one signature", map.name))),
    }
}

fn node_id(key: &[u8]) -> Check1<String> {
    let id = std::str::from_utf8(key);
    Ok(id.map_err(|_| (Check::Signer, "the id of a node is not text".to_owned()))?.to_owned())
}
