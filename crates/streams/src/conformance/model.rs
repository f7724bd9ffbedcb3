//! Random operations, compared with the in-memory store.
//!
//! Both stores are given the same operations. Their ids are of different types, so whatever they answer is put in
//! terms of the order in which entries were created: the n-th entry of one store must behave like the n-th of the
//! other. A failure is shrunk to the shortest sequence that still fails.

mod operations;
mod outcome;

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use self::operations::{Operation, PAYLOADS, STREAMS, operations};
use self::outcome::{Outcome, Side};
use super::{Harness, PayloadOf};
use crate::{MemoryStore, Store};

/// How many sequences are tried if the environment variable `LEDGER_MODEL_CASES` does not say.
const DEFAULT_CASES: u32 = 64;

/// Whatever is done, the store answers like the in-memory store, with the same errors, and ends with the same contents.
pub async fn random_operations_match_the_model<H: Harness>(harness: &H) {
    let cases = match std::env::var("LEDGER_MODEL_CASES") {
        Ok(text) => text.parse().expect("LEDGER_MODEL_CASES is a number"),
        Err(_) => DEFAULT_CASES,
    };
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let runtime = Handle::current();
    let check = |operations: Vec<Operation>| runtime.block_on(compare(harness, &operations));
    let result = block_in_place(|| TestRunner::new(config).run(&operations(harness.promised()), check));
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

async fn compare<H: Harness>(harness: &H, operations: &[Operation]) -> Result<(), TestCaseError> {
    let payloads: Vec<PayloadOf<H>> = PAYLOADS.iter().map(|text| harness.json(text)).collect();
    let model_payloads = PAYLOADS.iter().map(|text| text.as_bytes().into()).collect();
    let mut store = Side::new(harness.open().await, payloads, harness.missing_id());
    let mut model = Side::new(MemoryStore::new("model").expect("a valid name"), model_payloads, i64::MAX);
    for (n, operation) in operations.iter().enumerate() {
        let (actual, expected) = (store.apply(operation).await, model.apply(operation).await);
        compare_outcomes(&format!("operation {n}, {operation:?}"), actual, expected)?;
    }
    compare_contents(&mut store, &mut model).await?;
    store.close().await;
    Ok(())
}

async fn compare_contents<S: Store, M: Store>(
    store: &mut Side<S>,
    model: &mut Side<M>,
) -> Result<(), TestCaseError> {
    let mut everything = vec![Operation::everything_listed()];
    everything.extend(STREAMS.iter().flat_map(|stream| Operation::everything_in(stream)));
    for operation in everything {
        let (actual, expected) = (store.apply(&operation).await, model.apply(&operation).await);
        compare_outcomes(&format!("final contents, {operation:?}"), actual, expected)?;
    }
    Ok(())
}

fn compare_outcomes(what: &str, actual: Outcome, expected: Outcome) -> Result<(), TestCaseError> {
    if actual.agrees_with(&expected) {
        return Ok(());
    }
    Err(TestCaseError::fail(format!(
        "{what}: the store answers\n{actual:#?}\nthe model answers\n{expected:#?}"
    )))
}
