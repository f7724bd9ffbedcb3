//! Measures the chain against calibrations of the same run: `cargo xtask bench chain [CASE …]`.
//!
//! Cases: append, signatures, verify, receipts, large. `LEDGER_BENCH_ENTRIES` sets the size of the ledger of `large` (default
//! 1,000,000; 10,000,000 take 9 GB on the disk), `LEDGER_BENCH_PYTHON` names a Python interpreter with `ccf==6.0.28` and `cbor2<6` for the
//! comparison in `verify`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    unreachable_pub,
    reason = "a benchmark fails by panicking, and its figures are small"
)]

mod append;
mod large;
mod machine;
mod recording;
mod verify;

use ledger_chain::WriteSet;

fn main() {
    // `cargo bench` adds a flag of its own.
    let chosen: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |case: &str| chosen.is_empty() || chosen.iter().any(|name| name == case);
    let cases: [(&str, fn()); 5] = [
        ("append", append::concurrent),
        ("signatures", append::signatures),
        ("verify", verify::full),
        ("receipts", verify::receipts),
        ("large", large::open_and_recover),
    ];
    for (name, case) in cases {
        if wanted(name) {
            println!("== {name}");
            case();
        }
    }
}

/// An entry with a value of `bytes` bytes.
fn entry(number: u64, bytes: usize) -> WriteSet {
    let mut writes = WriteSet::new();
    writes.put("public:app.records", format!("key-{number:012}"), vec![b'x'; bytes]);
    writes
}
