//! Files written by a program that knows nothing but the request are read here, and ours by it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "a test"
)]

mod common;

use std::process::Command;

use common::{Folder, body, config};
use ledger_buffer::LedgerStore;

fn python(action: &str, folder: &Folder) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interoperability.py");
    let output = Command::new("python3").args([script, action]).arg(folder.root()).output();
    let output = output.expect("this test needs python3: apt-get install python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn files_of_another_program_are_read() {
    let folder = Folder::new();
    python("write", &folder);
    let by_python: Vec<(String, Vec<String>)> = serde_json::from_str(&python("read", &folder)).unwrap();
    let store = folder.open();
    let mut fetched = store.fetch(None, None).unwrap().unwrap();
    let read: Vec<(String, Vec<String>)> = fetched
        .data
        .iter()
        .map(|reader| {
            let name = reader.path().file_name().unwrap().to_str().unwrap().to_owned();
            (name, reader.records().map(|payload| hex(&payload.unwrap())).collect())
        })
        .collect();
    assert_eq!(read, by_python);
    assert_eq!(
        read.iter().map(|(name, payloads)| (name.as_str(), payloads.len())).collect::<Vec<_>>(),
        [("0-events", 2), ("2-events", 256), ("10-events", 9), ("11-events", 0)]
    );
    assert_eq!(body(&mut fetched.data[0]), r#"[{"event":"first"},{"name":"Łódź ☃"}]"#.as_bytes());
    assert_eq!(body(&mut fetched.data[3]), b"[]");
    assert!(fetched.data.iter().all(|reader| reader.damage().is_none()));
}

#[test]
fn our_files_are_read_by_another_program() {
    let folder = Folder::new();
    let store = LedgerStore::new(config(folder.root(), 1000)).unwrap();
    let payloads: Vec<Vec<u8>> =
        (1..200).map(|number: usize| (0..number * 5).map(|at| (at * number % 256) as u8).collect()).collect();
    for chunk in payloads.chunks(7) {
        store.append(&chunk[0]).unwrap();
        store.append_batch(&chunk[1..]).unwrap();
    }
    let read: Vec<(String, Vec<String>)> = serde_json::from_str(&python("read", &folder)).unwrap();
    assert_eq!(read.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>().len(), folder.names().len());
    let read: Vec<String> = read.into_iter().flat_map(|(_, payloads)| payloads).collect();
    assert_eq!(read, payloads.iter().map(|payload| hex(payload)).collect::<Vec<_>>());
}
