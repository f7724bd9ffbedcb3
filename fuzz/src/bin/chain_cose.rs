//! Arbitrary bytes as a COSE signature or receipt: an error or a message, never a panic, and nothing is proved that the genuine
//! receipt of the corpus does not prove.
#![no_main]

use std::sync::LazyLock;

use ledger_chain::crypto::CoseSign1;
use ledger_chain::receipt::{CoseReceipt, Proved};
use ledger_fuzz::SERVICE;
use libfuzzer_sys::fuzz_target;

static GENUINE: LazyLock<Proved> = LazyLock::new(|| {
    let receipt = include_bytes!("../../../crates/chain/tests/fixtures/valid/receipts/tx_2.20.cose");
    CoseReceipt::parse(receipt).and_then(|receipt| receipt.verify(&SERVICE)).expect("the fixture is good")
});

fuzz_target!(|input: &[u8]| {
    if let Ok(message) = CoseSign1::parse(input) {
        assert!(!message.verifies(&SERVICE, &[7; 32]));
        assert!(message.payload().is_none() || !message.verifies_payload(&SERVICE));
    }
    if let Ok(receipt) = CoseReceipt::parse(input)
        && let Ok(proved) = receipt.verify(&SERVICE)
    {
        assert_eq!(proved, *GENUINE);
    }
});
