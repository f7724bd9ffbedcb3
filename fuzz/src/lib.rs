//! What the targets on receipts share: the service of the genuine ones in the corpus.

use std::sync::LazyLock;

use ledger_chain::crypto::{Certificate, PublicKey};

/// The key of the service.
pub static SERVICE: LazyLock<PublicKey> = LazyLock::new(|| {
    let certificate = include_bytes!("../../crates/chain/tests/fixtures/valid/service_cert.pem");
    Certificate::from_pem(certificate).expect("the fixture is good").key().clone()
});
