//! Receipts: made for any entry, checked without the ledger, refused when forged.
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

use std::fs;

use common::{fixture, open, record};
use ledger_chain::{
    crypto::{
        Certificate, Curve, LedgerSecret, PrivateKey, PublicKey, node_certificate, service_certificate,
    },
    receipt::{CoseReceipt, Leaf, Receipt, ReceiptError, Receipts},
    store::Reader,
    verify::Secrets,
    writer::{Ledger, Settings},
};

fn service(path: &std::path::Path) -> PublicKey {
    Certificate::from_pem(&fs::read(path).unwrap()).unwrap().key().clone()
}

fn fixture_secrets() -> Secrets {
    let text = fs::read_to_string(fixture("valid/ledger_secret.hex")).unwrap();
    let mut secrets = Secrets::none();
    secrets.insert(1, LedgerSecret::new(hex::decode(text.trim()).unwrap().try_into().unwrap()).unwrap());
    secrets
}

#[test]
fn receipts_of_the_valid_ledger_are_made_byte_for_byte() {
    let reader = Reader::open(open(&fixture("valid/ledger"))).unwrap();
    let secrets = fixture_secrets();
    let receipts = Receipts::new(&reader, &secrets);
    let json = receipts.json(20).unwrap();
    let want = fs::read(fixture("valid/receipts/tx_2.20.json")).unwrap();
    assert_eq!(json.to_json().as_bytes(), want);
    assert_eq!(Receipt::from_json(&want).unwrap(), json);
    assert_eq!(receipts.cose(20).unwrap(), fs::read(fixture("valid/receipts/tx_2.20.cose")).unwrap());

    let service = service(&fixture("valid/service_cert.pem"));
    let proved = json.verify(&service).unwrap();
    assert_eq!(proved.txid.to_string(), "2.20");
    let claims = common::expected()["receipt"]["claims_digest"].clone();
    assert_eq!(hex::encode(proved.claims_digest), claims);
    let cose = CoseReceipt::parse(&receipts.cose(20).unwrap()).unwrap();
    assert_eq!(cose.verify(&service).unwrap(), proved);
}

#[test]
fn every_entry_has_receipts_that_hold_and_the_unsigned_ones_have_none() {
    let reader = Reader::open(open(&fixture("valid/ledger"))).unwrap();
    let secrets = fixture_secrets();
    let receipts = Receipts::new(&reader, &secrets);
    let service = service(&fixture("valid/service_cert.pem"));
    for seqno in 1..=34 {
        let json = receipts.json(seqno).unwrap();
        match (&json.leaf, receipts.cose(seqno)) {
            (Leaf::Components(_), Ok(cose)) => {
                let proved = json.verify(&service).unwrap();
                assert_eq!(proved.txid.seqno, seqno);
                assert_eq!(CoseReceipt::parse(&cose).unwrap().verify(&service).unwrap(), proved);
            }
            (Leaf::Digest(_), Err(ReceiptError::IsSignature { .. })) => {
                json.verify_root(&service).unwrap();
                assert!(json.verify(&service).is_err());
            }
            other => panic!("{seqno}: {other:?}"),
        }
    }
    assert!(matches!(receipts.json(35), Err(ReceiptError::NotSigned { seqno: 35 })));
    let none = Secrets::none();
    assert!(matches!(Receipts::new(&reader, &none).json(20), Err(ReceiptError::NoSecret { .. })));
}

#[test]
fn no_bit_of_a_receipt_can_be_changed() {
    let service = service(&fixture("valid/service_cert.pem"));
    let cose = fs::read(fixture("valid/receipts/tx_2.20.cose")).unwrap();
    let honest = CoseReceipt::parse(&cose).unwrap().verify(&service).unwrap();
    for bit in 0..cose.len() * 8 {
        let mut forged = cose.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let proved = CoseReceipt::parse(&forged).and_then(|receipt| receipt.verify(&service));
        assert!(proved.is_err(), "bit {bit}: {proved:?}");
    }
    let json = fs::read(fixture("valid/receipts/tx_2.20.json")).unwrap();
    let mut accepted = 0;
    for bit in 0..json.len() * 8 {
        let mut forged = json.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        // Some flips do not change the meaning: the case of a hex digit, white space in a PEM text, an unused field.
        if let Ok(proved) = Receipt::from_json(&forged).and_then(|receipt| receipt.verify(&service)) {
            assert_eq!(proved, honest, "bit {bit}");
            accepted += 1;
        }
    }
    assert!(accepted < json.len() * 8 / 10, "{accepted}");
}

#[test]
fn a_receipt_signed_with_forged_keys_is_refused() {
    let honest = Receipt::from_json(&fs::read(fixture("valid/receipts/tx_2.20.json")).unwrap()).unwrap();
    let service = service(&fixture("valid/service_cert.pem"));
    let (forger, node) =
        (PrivateKey::generate(Curve::P384).unwrap(), PrivateKey::generate(Curve::P384).unwrap());
    // The same names, another key: who checks the certificates' names only would take it.
    let Leaf::Components(mut components) = honest.leaf.clone() else { panic!("an ordinary entry") };
    components.claims_digest = [7; 32];
    let mut forged = Receipt {
        cert: node_certificate(node.public(), &forger, 1_700_000_000).unwrap(),
        leaf: Leaf::Components(components),
        node_id: node.public().id(),
        ..honest.clone()
    };
    forged.signature = node.sign_root(&forged.root()).unwrap();
    assert!(matches!(forged.verify(&service), Err(ReceiptError::Service)));
    assert!(forged.verify(forger.public()).is_ok());
    // Endorsed by nobody but itself.
    forged.service_endorsements = vec![service_certificate(&forger, 1_700_000_000).unwrap()];
    assert!(matches!(forged.verify(&service), Err(ReceiptError::Service)));
    // The genuine certificate, and a signature by somebody else.
    let stolen = Receipt { cert: honest.cert, node_id: honest.node_id, ..forged };
    assert!(stolen.verify(&service).is_err());
}

#[test]
fn a_receipt_of_another_service_is_refused() {
    let other = service(&fixture("real/eol_service/common/service_cert.pem"));
    let json = Receipt::from_json(&fs::read(fixture("valid/receipts/tx_2.20.json")).unwrap()).unwrap();
    assert!(matches!(json.verify(&other), Err(ReceiptError::Service)));
    let cose = CoseReceipt::parse(&fs::read(fixture("valid/receipts/tx_2.20.cose")).unwrap()).unwrap();
    assert!(matches!(cose.verify(&other), Err(ReceiptError::Service)));
}

#[test]
fn receipts_of_our_ledgers_hold_for_the_python_package() {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings { sign_every_entries: 5, ..common::settings() };
    let ledger = Ledger::init(home.path(), settings).unwrap();
    for at in 0..12 {
        ledger.append_with_claims(&record("k", &at.to_string()), [at; 32]).unwrap();
    }
    ledger.close().unwrap();
    let reader = Reader::open(open(&home.path().join("ledger"))).unwrap();
    let secrets = common::secrets(home.path());
    let receipts = Receipts::new(&reader, &secrets);
    let (json, cose) = (home.path().join("r.json"), home.path().join("r.cose"));
    let certificate = home.path().join("keys/service_cert.pem");
    for seqno in [1, 6, 13] {
        fs::write(&json, receipts.json(seqno).unwrap().to_json()).unwrap();
        fs::write(&cose, receipts.cose(seqno).unwrap()).unwrap();
        receipts.json(seqno).unwrap().verify(&service(&certificate)).unwrap();
        let verdict = python::receipts(&json, &certificate, Some(&cose));
        assert_eq!(verdict.unwrap(), "verified", "{seqno}");
    }
    let other = fixture("valid/service_cert.pem");
    assert!(python::receipts(&json, &other, Some(&cose)).is_err());
}
