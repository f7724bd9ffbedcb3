//! Arbitrary text as a JSON receipt: an error or a receipt, never a panic; a receipt is written back into one that is equal, and
//! nothing is proved that the genuine one of the corpus does not prove.
#![no_main]

use std::sync::LazyLock;

use ledger_chain::receipt::{Proved, Receipt};
use ledger_fuzz::SERVICE;
use libfuzzer_sys::fuzz_target;

static GENUINE: LazyLock<Proved> = LazyLock::new(|| {
    let receipt = include_bytes!("../../../crates/chain/tests/fixtures/valid/receipts/tx_2.20.json");
    Receipt::from_json(receipt).and_then(|receipt| receipt.verify(&SERVICE)).expect("the fixture is good")
});

fuzz_target!(|input: &[u8]| {
    let Ok(receipt) = Receipt::from_json(input) else { return };
    assert_eq!(Receipt::from_json(receipt.to_json().as_bytes()).ok().as_ref(), Some(&receipt));
    if let Ok(proved) = receipt.verify(&SERVICE) {
        assert_eq!(proved, *GENUINE);
    }
    _ = receipt.verify_root(&SERVICE);
});
