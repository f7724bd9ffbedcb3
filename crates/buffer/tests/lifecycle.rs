//! The operations of the request, one by one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "a test"
)]

mod common;

use common::{Folder, all_payloads, body, config, drain, payloads, record, records};
use ledger_buffer::{AppendError, LedgerReader, LedgerStore, MAX_FETCH_FILES, OpenError};

#[test]
fn records_are_stored_as_the_request_describes_them() {
    let folder = Folder::new();
    let store = folder.open();
    store.append(br#"{"a":1}"#).unwrap();
    store.append(br#"{"b":22}"#).unwrap();
    assert_eq!(folder.names(), ["0-events"]);
    assert_eq!(folder.read("0-events"), records(&[br#"{"a":1}"#, br#"{"b":22}"#]));
}

#[test]
fn a_reader_wraps_the_records_in_the_envelope_and_knows_its_length() {
    let folder = Folder::new();
    let store = folder.open();
    for number in 1..=3 {
        store.append(number.to_string().as_bytes()).unwrap();
    }
    let mut fetched = store.fetch(None, None).unwrap().unwrap();
    assert_eq!(fetched.data.len(), 1);
    assert_eq!(body(&mut fetched.data[0]), b"[1,2,3]");
    assert_eq!(body_in_pieces(&mut fetched.data[0]), b"[1,2,3]");
    assert_eq!(payloads(&fetched.data[0]), ["1", "2", "3"]);
    assert_eq!(fetched.data[0].record_count(), 3);
    assert_eq!(fetched.removable[0].path(), folder.path("0-events"));
}

/// Reads again from the beginning, a byte at a time.
fn body_in_pieces(reader: &mut LedgerReader) -> Vec<u8> {
    reader.rewind();
    std::io::Read::bytes(reader).map(Result::unwrap).collect()
}

#[test]
fn a_reader_goes_to_another_thread_and_outlives_its_store() {
    fn is_self_contained<R: std::io::Read + Send + 'static>(_: &R) {}
    let folder = Folder::new();
    let store = folder.open();
    store.append(b"1").unwrap();
    let mut fetched = store.fetch(None, None).unwrap().unwrap();
    drop(store);
    is_self_contained(&fetched.data[0]);
    let read = std::thread::spawn(move || body(&mut fetched.data[0])).join().unwrap();
    assert_eq!(read, b"[1]");
}

#[test]
fn records_of_any_size_pass_through() {
    let folder = Folder::new();
    let store = folder.open();
    let sizes = [1, 7, 8, 65_527, 65_528, 65_529, 65_536, 200_000, 1 << 20];
    let sent: Vec<Vec<u8>> =
        sizes.iter().map(|size| (0..*size).map(|at| (at % 251) as u8).collect()).collect();
    store.append_batch(&sent).unwrap();
    let mut fetched = store.fetch(None, None).unwrap().unwrap();
    let read: Vec<Vec<u8>> = fetched.data[0].records().map(Result::unwrap).collect();
    assert_eq!(read, sent);
    assert_eq!(body(&mut fetched.data[0]), [b"[", sent.join(&b","[..]).as_slice(), b"]"].concat());
}

#[test]
fn a_file_over_the_size_is_closed_and_another_begun() {
    let folder = Folder::new();
    let store = folder.open_with_small_files();
    for number in 0..3 {
        store.append(format!("{number}{}", "x".repeat(60)).as_bytes()).unwrap();
    }
    // 69 bytes, 138 bytes: over 100 after the second.
    assert_eq!(folder.names(), ["0-events", "1-events"]);
    assert_eq!(folder.read("0-events").len(), 2 * record(&[b'x'; 61]).len());
    let exactly = Folder::new();
    let store = exactly.open_with_small_files();
    store.append(&[b'x'; 92]).unwrap();
    store.append(b"y").unwrap();
    assert_eq!(exactly.names(), ["0-events"], "a file of exactly the size is not over it");
}

#[test]
fn a_store_begins_a_new_file_behind_the_highest_and_reads_nothing_at_the_start() {
    let folder = Folder::new();
    folder.write("7-events", record(b"old"));
    folder.write("3-events", b"damaged from its first byte");
    let store = folder.open();
    assert_eq!(folder.names(), ["3-events", "7-events"], "no file before the first append");
    store.append(b"new").unwrap();
    assert_eq!(folder.names(), ["3-events", "7-events", "8-events"]);
}

#[test]
fn files_are_fetched_in_the_order_of_their_numbers_within_count_and_bytes() {
    let folder = Folder::new();
    for index in [10, 9, 100, 1] {
        folder.write(&format!("{index}-events"), record(index.to_string().as_bytes()));
    }
    let store = folder.open();
    let order = |count, bytes| store.fetch(count, bytes).unwrap().map(|fetched| all_payloads(&fetched));
    assert_eq!(order(None, None).unwrap(), ["1", "9", "10", "100"]);
    assert_eq!(order(Some(2), None).unwrap(), ["1", "9"]);
    // Files of 9, 9, 10 and 11 bytes.
    assert_eq!(order(None, Some(28)).unwrap(), ["1", "9", "10"]);
    assert_eq!(order(None, Some(27)).unwrap(), ["1", "9"]);
    assert_eq!(order(Some(1), Some(27)).unwrap(), ["1"]);
    assert_eq!(order(Some(0), None), None);
}

#[test]
fn a_file_over_the_byte_limit_is_fetched_alone_instead_of_blocking_all_behind_it() {
    let folder = Folder::new();
    folder.write("0-events", record(&[b'x'; 500]));
    folder.write("1-events", record(b"1"));
    let store = folder.open();
    let fetched = store.fetch(None, Some(100)).unwrap().unwrap();
    assert_eq!(fetched.data.len(), 1);
    store.remove(&fetched.removable).unwrap();
    assert_eq!(drain(&store), ["1"]);
}

#[test]
fn one_fetch_opens_a_bounded_number_of_files() {
    let folder = Folder::new();
    let count = MAX_FETCH_FILES + 10;
    for index in 0..count {
        folder.write(&format!("{index}-events"), record(index.to_string().as_bytes()));
    }
    let store = folder.open();
    assert_eq!(store.fetch(None, None).unwrap().unwrap().data.len(), MAX_FETCH_FILES);
    let expected: Vec<_> = (0..count).map(|index| index.to_string()).collect();
    assert_eq!(drain(&store), expected);
}

#[test]
fn nothing_to_fetch_is_none() {
    let folder = Folder::new();
    let store = folder.open();
    assert!(!store.has_data());
    assert!(store.fetch(None, None).unwrap().is_none());
    store.append(b"1").unwrap();
    assert!(store.has_data());
    assert_eq!(drain(&store), ["1"]);
    assert!(!store.has_data());
    assert!(store.fetch(None, None).unwrap().is_none());
}

#[test]
fn appends_after_a_fetch_go_to_a_new_file() {
    let folder = Folder::new();
    let store = folder.open();
    store.append(b"1").unwrap();
    let fetched = store.fetch(None, None).unwrap().unwrap();
    store.append(b"2").unwrap();
    assert_eq!(folder.names(), ["0-events", "1-events"]);
    assert_eq!(all_payloads(&fetched), ["1"]);
    store.remove(&fetched.removable).unwrap();
    assert_eq!(drain(&store), ["2"]);
}

#[test]
fn files_are_removed_selectively_and_twice_without_harm() {
    let folder = Folder::new();
    for index in 0..3 {
        folder.write(&format!("{index}-events"), record(b"x"));
    }
    let store = folder.open();
    let fetched = store.fetch(None, None).unwrap().unwrap();
    store.remove([&fetched.removable[1]]).unwrap();
    assert_eq!(folder.names(), ["0-events", "2-events"]);
    store.remove(&fetched.removable).unwrap();
    assert!(folder.names().is_empty());
}

#[test]
fn reset_deletes_finished_active_and_fetched_files() {
    let folder = Folder::new();
    let store = folder.open();
    store.append(b"fetched").unwrap();
    let fetched = store.fetch(None, None).unwrap().unwrap();
    store.append(b"finished").unwrap();
    drop(store.fetch(Some(1), None).unwrap());
    store.append(b"active").unwrap();
    let cleared = store.reset().unwrap();
    assert_eq!((cleared.deleted, cleared.in_use), (3, 0));
    assert!(folder.names().is_empty());
    assert!(!store.has_data());
    store.append(b"after").unwrap();
    drop(fetched);
    assert_eq!(drain(&store), ["after"]);
}

#[test]
fn reset_leaves_what_another_store_writes_or_sends() {
    let folder = Folder::new();
    let (ours, other) = (folder.open(), folder.open());
    other.append(b"sent").unwrap();
    let sent = other.fetch(None, None).unwrap().unwrap();
    other.append(b"written").unwrap();
    ours.append(b"ours").unwrap();
    let cleared = ours.reset().unwrap();
    assert_eq!((cleared.deleted, cleared.in_use), (1, 2));
    other.append(b"more").unwrap();
    other.remove(&sent.removable).unwrap();
    assert_eq!(drain(&other), ["written", "more"]);
}

#[test]
fn a_batch_is_one_run_of_records_and_is_checked_before_anything_is_written() {
    let folder = Folder::new();
    let store = folder.options().max_record_size(10).open().unwrap();
    store.append_batch(&["1", "22", "333"]).unwrap();
    store.append_batch::<&str>(&[]).unwrap();
    assert_eq!(folder.read("0-events"), records(&[b"1", b"22", b"333"]));
    let error = store.append_batch(&["1", ""]).unwrap_err();
    assert!(matches!(error, AppendError::Empty { index: 1 }), "{error:?}");
    let error = store.append_batch(&["1", "2", "12345678901"]).unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { index: 2, bytes: 11, limit: 10 }), "{error:?}");
    assert_eq!(error.to_string(), "record 2 of the batch has 11 bytes, over max_record_size of 10");
    assert_eq!(folder.read("0-events"), records(&[b"1", b"22", b"333"]));
}

#[test]
fn empty_and_oversized_payloads_are_refused_and_nothing_is_written() {
    let folder = Folder::new();
    let store = folder.open();
    assert!(matches!(store.append(b"").unwrap_err(), AppendError::Empty { index: 0 }));
    let error = store.append(&vec![0; (1 << 20) + 1]).unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { bytes: 1_048_577, limit: 1_048_576, .. }), "{error:?}");
    assert!(folder.names().is_empty());
    store.append(&vec![0; 1 << 20]).unwrap();
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let folder = Folder::new();
    let open = |size| LedgerStore::new(config(folder.root(), size));
    assert!(matches!(open(99).unwrap_err(), OpenError::FileSize { bytes: 99, least: 100 }));
    open(100).unwrap();
    let named = |name: &str| {
        LedgerStore::new(ledger_buffer::LedgerConfig {
            base_filename: name.to_owned(),
            ..config(folder.root(), 100)
        })
    };
    for name in ["", "a/b", "events.temp"] {
        assert!(matches!(named(name).unwrap_err(), OpenError::BaseFilename { .. }), "{name:?}");
    }
    let error = folder.options().max_record_size(0).open().unwrap_err();
    assert!(matches!(error, OpenError::RecordSize { .. }), "{error}");
    let error = folder.options().max_record_size(1 << 33).open().unwrap_err();
    assert!(matches!(error, OpenError::RecordSize { .. }), "{error}");
}

#[test]
fn jsonl_needs_nothing_but_a_newline_between() {
    let folder = Folder::new();
    let store = LedgerStore::new(ledger_buffer::LedgerConfig {
        header: Box::new(Vec::new),
        footer: Box::new(Vec::new),
        separator: b"\n".to_vec(),
        ..config(folder.root(), 1000)
    })
    .unwrap();
    store.append_batch(&["1", "2"]).unwrap();
    assert_eq!(body(&mut store.fetch(None, None).unwrap().unwrap().data[0]), b"1\n2");
}

#[test]
fn errors_turn_into_io_errors_that_keep_kind_and_text() {
    let folder = Folder::new();
    let error = std::io::Error::from(folder.open().append(b"").unwrap_err());
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("empty payload"), "{error}");
}

#[test]
fn files_can_be_listed_and_looked_at_without_taking_them() {
    let folder = Folder::new();
    let store = folder.open();
    store.append(b"finished").unwrap();
    drop(store.fetch(None, None).unwrap());
    store.append(b"active").unwrap();
    let files = store.files().unwrap();
    assert_eq!(files.iter().map(|file| file.index).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(payloads(&store.peek(&files[1]).unwrap()), ["active"]);
    assert_eq!([store.is_in_use(&files[0]).unwrap(), store.is_in_use(&files[1]).unwrap()], [false, true]);
    assert_eq!(drain(&store), ["finished", "active"]);
}
