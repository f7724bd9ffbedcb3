//! What full validation by the originals does not check, and this verifier does: ledgers forged by somebody who has the keys.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/python.rs"]
mod python;

use std::{fs, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ciborium::Value;
use common::{record, verify};
use ledger_chain::{
    TxId, WriteSet,
    crypto::{Curve, LedgerSecret, PrivateKey, node_certificate, service_certificate},
    format::{Entry, EntryType, Flags, Iv, NO_CLAIMS, PublicDomain, PublicHeader, SINGLE_KEY, encode_entry},
    governance::{
        COSE_SIGNATURES, NODE_CERTIFICATES, NODES_INFO, PREVIOUS_IDENTITY, PREVIOUS_ROOT, SERVICE_INFO,
        SIGNATURES, TREE,
    },
    merkle::Tree,
    verify::{Check, Report, Verdict},
};

const NOW: u64 = 1_700_000_000;

/// Writes chunks with raw signatures, right or wrong.
struct Forge {
    folder: tempfile::TempDir,
    chunk: Vec<u8>,
    start: u64,
    next: TxId,
    tree: Tree,
    node: PrivateKey,
    service: PrivateKey,
}

impl Forge {
    fn new() -> Self {
        let (node, service) =
            (PrivateKey::generate(Curve::P384).unwrap(), PrivateKey::generate(Curve::P384).unwrap());
        let next = TxId { view: 2, seqno: 1 };
        let folder = tempfile::tempdir().unwrap();
        Self { folder, chunk: vec![0; 8], start: 1, next, tree: Tree::ledger(), node, service }
    }

    /// The first entry, with a node of this id and certificate.
    fn begin(&mut self, id: &str, certificate: &str) {
        let mut writes = self.service_writes("Opening");
        writes.put(NODES_INFO, id, r#"{"status":"Trusted"}"#).put(NODE_CERTIFICATES, id, certificate);
        self.entry(&writes);
        self.sign(id);
    }

    fn service_writes(&self, status: &str) -> WriteSet {
        let pem = service_certificate(&self.service, NOW).unwrap();
        let mut writes = WriteSet::new();
        let info = serde_json::json!({"cert": pem, "status": status});
        writes.put(SERVICE_INFO, SINGLE_KEY, info.to_string());
        writes
    }

    /// As it should be.
    fn begin_well(&mut self) -> String {
        let id = self.node.public().id();
        let certificate = node_certificate(self.node.public(), &self.service, NOW).unwrap();
        self.begin(&id, &certificate);
        id
    }

    fn entry(&mut self, writes: &WriteSet) {
        self.entry_at(writes, self.next.seqno, self.next.seqno);
    }

    /// An entry whose IV and public domain say that it is another one.
    fn entry_at(&mut self, writes: &WriteSet, iv: u64, domain: u64) {
        let header = PublicHeader {
            entry_type: EntryType::WithCommitEvidenceAndClaims,
            seqno: domain,
            claims_digest: NO_CLAIMS,
            commit_evidence_digest: [7; 32],
            reserved: 0,
        };
        let mut public = Vec::new();
        writes.encode_public(&mut public, &header);
        let iv = Iv::entry(TxId { view: self.next.view, seqno: iv });
        let tag = LedgerSecret::new([1; 32]).unwrap().seal(iv, &public, &mut []).unwrap();
        let mut bytes = Vec::new();
        encode_entry(&mut bytes, Flags::default(), &tag, iv, &public, &[]).unwrap();
        let (entry, _) = Entry::parse(&bytes).unwrap();
        self.tree.append(PublicDomain::parse(entry.public).unwrap().leaf(&entry.write_set_digest()).unwrap());
        self.chunk.extend(bytes);
        self.next.seqno += 1;
    }

    fn sign(&mut self, node: &str) {
        let tree = self.tree.encode();
        self.sign_with_tree(node, tree);
    }

    fn sign_with_tree(&mut self, node: &str, tree: Vec<u8>) {
        let root = self.tree.root();
        let sig = BASE64_STANDARD.encode(self.node.sign_root(&root).unwrap());
        let value = serde_json::json!({
            "node": node, "root": hex::encode(root), "seqno": self.next.seqno, "sig": sig, "view": self.next.view,
        });
        let mut writes = WriteSet::new();
        writes.put(SIGNATURES, SINGLE_KEY, value.to_string()).put(TREE, SINGLE_KEY, tree);
        self.entry(&writes);
    }

    /// A COSE signature of the service that says when it was made.
    fn sign_as_service(&mut self, unix_seconds: u64) {
        let encode = |value: &Value| {
            let mut out = Vec::new();
            ciborium::into_writer(value, &mut out).unwrap();
            out
        };
        let protected = Value::Map(vec![
            (1.into(), (-35).into()),
            (15.into(), Value::Map(vec![(6.into(), unix_seconds.into())])),
        ]);
        let (protected, root) = (Value::Bytes(encode(&protected)), Value::Bytes(self.tree.root().to_vec()));
        let structure = vec!["Signature1".into(), protected.clone(), Value::Bytes(vec![]), root];
        let signature = self.service.sign_cose(&encode(&Value::Array(structure))).unwrap();
        let message = vec![protected, Value::Map(vec![]), Value::Null, Value::Bytes(signature)];
        let message = encode(&Value::Tag(18, Box::new(Value::Array(message))));
        let mut writes = WriteSet::new();
        let text = serde_json::to_string(&BASE64_STANDARD.encode(message)).unwrap();
        writes.put(COSE_SIGNATURES, SINGLE_KEY, text);
        self.entry(&writes);
    }

    /// Ends the chunk, without a table.
    fn save(&self, name: &str) -> &Path {
        fs::write(self.folder.path().join(name), &self.chunk).unwrap();
        self.folder.path()
    }

    fn report(&self) -> Report {
        verify(self.save(&format!("ledger_{}", self.start)))
    }

    /// Damaged for the one reason, although the original's validator accepts it.
    fn only_we_notice(&self, check: Check, said: &str) {
        let report = self.report();
        assert_eq!(
            (report.verdict, report.problems[0].check),
            (Verdict::Damaged, check),
            "{:?}",
            report.problems
        );
        assert!(report.problems[0].reason.contains(said), "{}", report.problems[0]);
        let theirs = python::validate(self.folder.path());
        assert!(theirs.is_ok(), "{theirs:?}");
    }
}

#[test]
fn a_forged_ledger_without_a_flaw_is_verified() {
    let mut forge = Forge::new();
    let id = forge.begin_well();
    forge.entry(&record("k", "v"));
    forge.sign(&id);
    let report = forge.report();
    assert_eq!((report.problems, report.verdict), (vec![], Verdict::Verified));
}

#[test]
fn a_node_certificate_that_the_service_did_not_issue() {
    let mut forge = Forge::new();
    let (id, stranger) = (forge.node.public().id(), PrivateKey::generate(Curve::P384).unwrap());
    let certificate = node_certificate(forge.node.public(), &stranger, NOW).unwrap();
    forge.begin(&id, &certificate);
    forge.only_we_notice(Check::Certificate, "is not issued by the service");
}

#[test]
fn a_node_id_that_is_not_that_of_its_key() {
    let mut forge = Forge::new();
    let certificate = node_certificate(forge.node.public(), &forge.service, NOW).unwrap();
    forge.begin(&"ab".repeat(32), &certificate);
    forge.only_we_notice(Check::Signer, "has the id of another key");
}

#[test]
fn numbers_in_iv_and_public_domain_that_are_not_those_of_the_place() {
    for (iv, domain) in [(30, 3), (3, 30), (30, 30)] {
        let mut forge = Forge::new();
        let id = forge.begin_well();
        forge.entry_at(&record("k", "v"), iv, domain);
        forge.sign(&id);
        forge.only_we_notice(Check::Position, "number 3 by its place");
    }
}

#[test]
fn a_ledger_that_does_not_begin_with_entry_1() {
    let mut forge = Forge::new();
    forge.next.seqno = 5;
    forge.start = 5;
    // Its tree begins afresh, as if there were nothing before.
    let id = forge.node.public().id();
    let certificate = node_certificate(forge.node.public(), &forge.service, NOW).unwrap();
    forge.begin(&id, &certificate);
    forge.only_we_notice(Check::Sequence, "entries 1 to 4 are missing");
}

#[test]
fn views_that_decrease() {
    let mut forge = Forge::new();
    let id = forge.begin_well();
    forge.next.view = 1;
    forge.entry(&record("k", "v"));
    forge.sign(&id);
    forge.only_we_notice(Check::Position, "view 1 follows view 2");
}

#[test]
fn a_closed_chunk_that_does_not_end_in_a_signature() {
    let mut forge = Forge::new();
    forge.begin_well();
    forge.entry(&record("k", "v"));
    let mut at = 8;
    let mut table = Vec::new();
    while at < forge.chunk.len() {
        table.extend((at as u32).to_le_bytes());
        at += Entry::parse(&forge.chunk[at..]).unwrap().0.bytes.len();
    }
    let end = forge.chunk.len() as u64;
    forge.chunk[..8].copy_from_slice(&end.to_le_bytes());
    forge.chunk.extend(table);
    let report = verify(forge.save("ledger_1-3"));
    assert_eq!((report.verdict, report.problems[0].check), (Verdict::Damaged, Check::ChunkEnd));
    assert!(python::validate(forge.folder.path()).is_ok());
}

#[test]
fn a_recorded_tree_that_is_not_the_tree_of_the_entries() {
    let mut forge = Forge::new();
    let id = forge.begin_well();
    forge.entry(&record("k", "v"));
    let mut other = Tree::ledger();
    (0..3).for_each(|at| other.append([at; 32]));
    forge.sign_with_tree(&id, other.encode());
    forge.only_we_notice(Check::Leaf, "is not the one that was recorded");
}

#[test]
fn a_recovery_that_names_another_service_or_another_root_before_it() {
    let stranger = PrivateKey::generate(Curve::P384).unwrap();
    for (pem, root, said) in [
        (Some(&stranger), None, "another previous service"),
        (None, Some([3; 32]), "another last signed root"),
    ] {
        let mut forge = Forge::new();
        forge.begin_well();
        let before = service_certificate(pem.unwrap_or(&forge.service), NOW).unwrap();
        let mut open = forge.service_writes("Open");
        forge.entry(&open);
        let signed = forge.tree.root();
        let id = forge.node.public().id();
        forge.sign(&id);
        // The new service, and a certificate of its own for the node.
        forge.service = PrivateKey::generate(Curve::P384).unwrap();
        open = forge.service_writes("Recovering");
        let certificate = node_certificate(forge.node.public(), &forge.service, NOW).unwrap();
        open.put(NODE_CERTIFICATES, id.as_str(), certificate);
        open.put(PREVIOUS_IDENTITY, SINGLE_KEY, serde_json::to_string(&before).unwrap());
        let root = hex::encode(root.unwrap_or(signed));
        open.put(PREVIOUS_ROOT, SINGLE_KEY, serde_json::to_string(&root).unwrap());
        forge.entry(&open);
        forge.sign(&id);
        forge.only_we_notice(Check::Service, said);
    }
}

#[test]
fn a_signature_from_a_time_at_which_a_certificate_was_not_valid() {
    let mut forge = Forge::new();
    forge.begin_well();
    forge.sign_as_service(NOW + 60);
    let report = forge.report();
    assert_eq!((report.verdict, report.notes), (Verdict::Verified, vec![]));
    forge.sign_as_service(NOW + 20 * 365 * 24 * 3600);
    let report = forge.report();
    assert_eq!(report.verdict, Verdict::Verified, "{:?}", report.problems);
    assert!(report.notes[0].starts_with("1 signatures from a time"), "{:?}", report.notes);
    assert!(python::validate(forge.folder.path()).is_ok());
}

#[test]
fn an_unsigned_tail_and_a_ledger_that_was_cut_are_said_in_plain_words() {
    let mut forge = Forge::new();
    let id = forge.begin_well();
    forge.entry(&record("k", "v"));
    let report = forge.report();
    assert_eq!(report.unsigned_tail.unwrap().entries, 1);
    assert!(python::validate(forge.folder.path()).is_ok());
    forge.sign(&id);
    let expect = forge.next;
    assert_eq!(forge.report().unsigned_tail, None);
    let verifier = ledger_chain::verify::Verifier::new().expect(expect);
    let report = verifier.verify(&common::open(forge.folder.path())).unwrap();
    assert_eq!((report.verdict, report.problems[0].check), (Verdict::Damaged, Check::Expected));
}
