//! The places where the request, taken literally, would lose records or send them twice: a test for each, which fails on
//! a literal implementation. H1 on a real full disk is in `disk_full.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a test")]

mod common;

use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use common::{Folder, all_payloads, body, config, drain, payloads, record, records};
use ledger_buffer::{
    AppendError, DamageKind, Durability, FetchError, Fetched, LedgerConfig, LedgerStore, RemoveError,
    Salvage, Salvaged, Validation, WhenFull,
};
use ledger_fs::crash::{CrashFs, CrashPolicy, Fault, OperationKind};

/// A store in a folder of the simulated disk.
fn on(disk: &CrashFs, durability: Durability) -> LedgerStore {
    let options = LedgerStore::options(config(Path::new("/"), 475_000)).durability(durability);
    options.open_in(disk.dir()).unwrap()
}

#[test]
fn h1_a_failed_or_short_write_costs_that_record_and_none_behind_it() {
    for fault in [Fault::NoSpace, Fault::Io, Fault::ShortWrite(3), Fault::ShortWrite(10)] {
        for cut_fails in [false, true] {
            let disk = CrashFs::new();
            let store = on(&disk, Durability::None);
            store.append(b"before").unwrap();
            let first = disk.operations();
            // An append is one write; after a short one the rest is tried, and fails too.
            disk.fail_at(first, fault);
            disk.fail_at(first + 1, Fault::NoSpace);
            if cut_fails {
                disk.fail_from(first, Fault::Io);
                disk.fail_at(first, fault);
            }
            let error = store.append(b"refused").unwrap_err();
            assert!(matches!(error, AppendError::Write { .. }), "{error:?}");
            disk.heal();
            store.append(b"behind").unwrap();
            assert_eq!(drain(&store), ["before", "behind"], "{fault:?}, cut fails: {cut_fails}");
        }
    }
}

#[test]
fn h2_a_file_that_another_store_writes_is_not_fetched_and_so_not_removed() {
    let folder = Folder::new();
    let (writer, sender) = (folder.open(), folder.open());
    writer.append(b"1").unwrap();
    assert!(sender.fetch(None, None).unwrap().is_none());
    sender.append(b"of the sender").unwrap();
    assert_eq!(drain(&sender), ["of the sender"]);
    writer.append(b"2").unwrap();
    assert_eq!(drain(&writer), ["1", "2"]);
}

#[test]
fn h2_a_file_of_a_store_that_is_gone_is_fetched_by_others() {
    let folder = Folder::new();
    let (writer, sender) = (folder.open(), folder.open());
    writer.append(b"1").unwrap();
    drop(writer);
    assert_eq!(drain(&sender), ["1"]);
}

#[test]
fn h3_a_fetched_file_is_not_fetched_again_until_it_is_given_back() {
    let folder = Folder::new();
    let (one, other) = (folder.open(), folder.open());
    one.append(b"1").unwrap();
    let fetched = one.fetch(None, None).unwrap().unwrap();
    assert!(other.fetch(None, None).unwrap().is_none());
    assert!(one.fetch(None, None).unwrap().is_none());
    // A client that was given the reader drops it once it is sent; the file is not yet removed.
    let removable = fetched.removable;
    drop(fetched.data);
    assert!(other.fetch(None, None).unwrap().is_none());
    drop(removable);
    assert_eq!(all_payloads(&other.fetch(None, None).unwrap().unwrap()), ["1"]);
}

#[test]
fn h4_the_content_length_counts_what_the_reader_yields_also_of_a_damaged_file() {
    let folder = Folder::new();
    let mut bytes = records(&[b"first", b"second", b"third"]);
    bytes[13 + 8] ^= 1;
    folder.write("0-events", &bytes);
    let store = folder.open();
    let mut fetched = store.fetch(None, None).unwrap().unwrap();
    assert_eq!(fetched.data[0].content_length(), b"[first]".len() as u64);
    assert_eq!(body(&mut fetched.data[0]), b"[first]");
}

#[test]
fn h4_the_literal_behaviour_can_be_asked_for() {
    let folder = Folder::new();
    let mut bytes = records(&[b"first", b"second", b"third"]);
    bytes[13 + 8] ^= 1;
    folder.write("0-events", &bytes);
    let store = folder.options().validation(Validation::HeadersOnly).open().unwrap();
    let mut fetched = store.fetch(None, None).unwrap().unwrap();
    let reader = &mut fetched.data[0];
    assert_eq!(reader.content_length(), b"[first,second,third]".len() as u64);
    assert_eq!(reader.damage(), None);
    let mut body = String::new();
    reader.read_to_string(&mut body).unwrap();
    assert_eq!(body, "[first]", "shorter than announced, and a valid envelope");
    assert_eq!(reader.damage().unwrap().kind, DamageKind::Checksum { length: 6 });
    store.remove(&fetched.removable).unwrap();
    assert_eq!(folder.names(), ["quarantine"]);
}

#[test]
fn h5_a_file_damaged_in_the_middle_is_reported_and_kept_with_what_is_behind() {
    let folder = Folder::new();
    let mut bytes = records(&[b"first", b"second", b"third"]);
    bytes[13 + 8] ^= 1;
    folder.write("0-events", &bytes);
    let store = folder.open();
    let fetched = store.fetch(None, None).unwrap().unwrap();
    let damage = fetched.data[0].damage().unwrap();
    assert_eq!((damage.offset, damage.bytes_behind, damage.is_torn_tail), (13, 27, false));
    assert_eq!(damage.kind, DamageKind::Checksum { length: 6 });
    store.remove(&fetched.removable).unwrap();
    assert_eq!(folder.read("quarantine/0-events"), bytes);
    assert!(!store.has_data(), "it is not sent again");
    // Another one of the same name does not replace it.
    folder.write("0-events", &bytes);
    let fetched = store.fetch(None, None).unwrap().unwrap();
    store.remove(&fetched.removable).unwrap();
    assert_eq!(common::names(&folder.path("quarantine")), ["0-events", "0-events.1"]);
}

#[test]
fn h5_an_unreadable_place_is_damage_too_and_what_is_before_it_is_sent() {
    let (disk, fetched) = fetched_from_a_failing_disk();
    assert!((1..4).contains(&fetched.data[0].record_count()));
    assert!(matches!(fetched.data[0].damage().unwrap().kind, DamageKind::Unreadable { .. }));
    on(&disk, Durability::None).remove(&fetched.removable).unwrap();
    assert_eq!(disk.dir().entries(Path::new("quarantine")).unwrap().count(), 1);
}

#[test]
fn h5_a_file_that_can_be_read_again_stays_and_is_sent_whole() {
    let (disk, fetched) = fetched_from_a_failing_disk();
    assert!(fetched.data[0].record_count() < 4);
    disk.heal();
    let store = on(&disk, Durability::None);
    store.remove(&fetched.removable).unwrap();
    drop(fetched);
    let fetched = store.fetch(None, None).unwrap().unwrap();
    assert_eq!((fetched.data[0].record_count(), fetched.data[0].damage()), (4, None));
    store.remove(&fetched.removable).unwrap();
    assert!(!store.has_data());
    assert!(store.quarantined().unwrap().is_empty());
}

/// A file of four records, on a disk that gives out the first of them and then fails.
fn fetched_from_a_failing_disk() -> (CrashFs, Fetched) {
    let disk = CrashFs::new();
    on(&disk, Durability::None).append_batch(&vec![vec![b'x'; 200_000]; 4]).unwrap();
    let fetch = |disk: &CrashFs| {
        let fetched = on(disk, Durability::None).fetch(None, None).unwrap().unwrap();
        fetched.data[0].record_count();
        fetched
    };
    let rehearsal = disk.kill();
    fetch(&rehearsal);
    let log = rehearsal.log();
    let mut reads = log.iter().filter(|operation| operation.kind == OperationKind::Read);
    let disk = disk.kill();
    disk.fail_from(reads.nth(3).unwrap().number, Fault::FailedRead);
    let fetched = fetch(&disk);
    (disk, fetched)
}

#[test]
fn h6_a_folder_has_a_bound_and_what_is_dropped_is_counted() {
    let folder = Folder::new();
    let open = |when_full| {
        LedgerStore::options(config(folder.root(), 100)).max_total_size(1000, when_full).open().unwrap()
    };
    let store = open(WhenFull::Refuse);
    let error = (0..100).find_map(|_| store.append(&[b'x'; 100]).err()).unwrap();
    assert!(matches!(error, AppendError::Full { used: 972, needed: 108, limit: 1000, .. }), "{error:?}");
    let store = open(WhenFull::DropOldest);
    (0..100).for_each(|_| store.append(&[b'y'; 100]).unwrap());
    assert_eq!(store.dropped().records, 100);
    assert!(folder.names().len() <= 10);
}

#[test]
fn h7_each_durability_keeps_what_it_promises_when_the_power_goes() {
    for (durability, survives) in [
        (Durability::None, false),
        (Durability::EveryAppend, true),
        (Durability::Interval(Duration::ZERO), true),
    ] {
        let disk = CrashFs::new();
        let store = on(&disk, durability);
        store.append(b"1").unwrap();
        store.append(b"2").unwrap();
        if let Durability::Interval(_) = durability {
            wait_until(|| syncs(&disk) >= 1 && synced_since_last_write(&disk));
        }
        let mut images = 0;
        for image in disk.images(CrashPolicy::default()) {
            images += 1;
            let read = drain(&on(&image.fs, Durability::None));
            assert!(
                ["1", "2"].starts_with(&read.iter().map(String::as_str).collect::<Vec<_>>()[..]),
                "{read:?}"
            );
            assert!(!survives || read.len() == 2, "{durability:?}: {read:?}");
        }
        assert!(images > 0);
    }
}

fn syncs(disk: &CrashFs) -> usize {
    disk.log().iter().filter(|operation| operation.kind == OperationKind::SyncFile).count()
}

fn synced_since_last_write(disk: &CrashFs) -> bool {
    let log = disk.log();
    let last = |kind| log.iter().rposition(|operation| operation.kind == kind);
    last(OperationKind::SyncFile) > last(OperationKind::Write)
}

fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it did not happen within ten seconds");
}

#[test]
fn h8_only_canonical_names_of_regular_files_are_ours_and_nothing_else_is_touched() {
    let folder = Folder::new();
    let others =
        ["00-events", "7-events.bak", "4294967296-events", "-1-events", "+1-events", "events", "1-events2"];
    for name in others {
        folder.write(name, record(b"not ours"));
    }
    std::fs::create_dir(folder.path("5-events")).unwrap();
    folder.write("5-events/0-events", record(b"not ours"));
    std::os::unix::fs::symlink(folder.path("events"), folder.path("6-events")).unwrap();
    let before = folder.names();
    let store = folder.open();
    assert!(!store.has_data());
    store.append(b"ours").unwrap();
    assert_eq!(drain(&store), ["ours"]);
    store.append(b"ours").unwrap();
    store.reset().unwrap();
    assert_eq!(folder.names(), before);
    // A name that is taken by something else is passed over.
    (0..10).for_each(|_| {
        store.append(b"x").unwrap();
        drop(store.fetch(None, None).unwrap());
    });
    assert_eq!(drain(&store).len(), 10);
    assert_eq!(folder.names(), before);
}

#[test]
fn h8_running_out_of_numbers_is_an_error_until_the_files_are_gone() {
    let folder = Folder::new();
    folder.write("4294967295-events", record(b"last"));
    let store = folder.open();
    assert!(matches!(store.append(b"x").unwrap_err(), AppendError::IndicesExhausted { .. }));
    assert_eq!(drain(&store), ["last"]);
    store.append(b"x").unwrap();
    assert_eq!(folder.names(), ["0-events"]);
}

#[test]
fn h9_callbacks_may_use_the_store_and_panic() {
    let folder = Folder::new();
    let (shared, panics) = (Arc::new(OnceLock::<LedgerStore>::new()), Arc::new(AtomicBool::new(true)));
    let (in_header, in_footer) = (shared.clone(), panics.clone());
    let store = LedgerStore::new(LedgerConfig {
        header: Box::new(move || {
            // Would wait for ever if fetch held a lock meanwhile.
            in_header.get().unwrap().append(b"from the header").unwrap();
            b"[".to_vec()
        }),
        footer: Box::new(move || {
            assert!(!in_footer.load(Ordering::Relaxed), "on purpose");
            b"]".to_vec()
        }),
        ..config(folder.root(), 1000)
    });
    let store = shared.get_or_init(|| store.unwrap());
    store.append(b"1").unwrap();
    let error = store.fetch(Some(1), None).unwrap_err();
    assert!(matches!(error, FetchError::Callback { callback: "footer" }), "{error:?}");
    panics.store(false, Ordering::Relaxed);
    let mut fetched = store.fetch(Some(1), None).unwrap().unwrap();
    assert_eq!(body(&mut fetched.data[0]), b"[1]");
    store.remove(&fetched.removable).unwrap();
}

#[test]
fn h10_a_late_remove_does_not_hit_a_new_file_of_the_same_name() {
    let folder = Folder::new();
    let store = folder.open();
    store.append(b"old").unwrap();
    let late = store.fetch(None, None).unwrap().unwrap().removable;
    // Somebody else's clean-up, without asking for locks.
    std::fs::remove_file(folder.path("0-events")).unwrap();
    let other = folder.open();
    other.append(b"new").unwrap();
    assert_eq!(folder.names(), ["0-events"]);
    let error = store.remove(&late).unwrap_err();
    assert!(matches!(error, RemoveError::Replaced { .. }), "{error:?}");
    assert_eq!(drain(&other), ["new"]);
}

#[test]
fn h10_numbers_begin_again_and_a_second_remove_of_the_old_file_is_refused() {
    let folder = Folder::new();
    let store = folder.open();
    store.append(b"old").unwrap();
    let old = store.fetch(None, None).unwrap().unwrap().removable;
    store.remove(&old).unwrap();
    drop(store);
    let store = folder.open();
    store.append(b"new").unwrap();
    assert_eq!(folder.names(), ["0-events"]);
    assert!(matches!(store.remove(&old).unwrap_err(), RemoveError::Replaced { .. }));
    assert_eq!(drain(&store), ["new"]);
}

#[test]
fn h11_a_flipped_bit_in_a_length_neither_allocates_nor_hides_what_is_behind() {
    let payloads_written: Vec<Vec<u8>> =
        (0..20).map(|number| format!("payload {number}").into_bytes()).collect();
    let whole: Vec<u8> = payloads_written.iter().flat_map(|payload| record(payload)).collect();
    let second = record(&payloads_written[0]).len();
    for bit in 0..32 {
        let folder = Folder::new();
        let mut damaged = whole.clone();
        damaged[second + bit / 8] ^= 1 << (bit % 8);
        folder.write("0-events", &damaged);
        let store = folder.options().max_record_size(u32::MAX as usize).open().unwrap();
        let fetched = store.fetch(None, None).unwrap().unwrap();
        assert_eq!(payloads(&fetched.data[0]), ["payload 0"]);
        assert!(!fetched.data[0].damage().unwrap().is_torn_tail, "bit {bit}");
        store.remove(&fetched.removable).unwrap();
        let salvage = Salvage::open(&folder.path("quarantine/0-events"), u32::MAX).unwrap();
        let salvaged = salvage.filter_map(|part| match part.unwrap() {
            Salvaged::Record { payload, .. } => Some(payload),
            _ => None,
        });
        let expected = payloads_written
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != 1)
            .map(|(_, payload)| payload.clone());
        assert!(salvaged.eq(expected), "bit {bit}");
    }
}

#[test]
fn h12_a_failed_sync_closes_the_file_and_no_later_sync_speaks_for_it() {
    let disk = CrashFs::new();
    let store = on(&disk, Durability::EveryAppend);
    store.append(b"1").unwrap();
    // Written, then synced: the sync is the second operation.
    disk.fail_at(disk.operations() + 1, Fault::FailedSync);
    let error = store.append(b"2").unwrap_err();
    assert!(matches!(error, AppendError::Sync { written: true, .. }), "{error:?}");
    store.append(b"3").unwrap();
    let log = disk.log();
    let last_sync = log.iter().rev().find(|operation| operation.kind == OperationKind::SyncFile).unwrap();
    assert!(last_sync.path.ends_with("1-events"), "{last_sync:?}");
    for image in disk.images(CrashPolicy::default()) {
        let read = drain(&on(&image.fs, Durability::None));
        assert!(read == ["1", "3"] || read == ["1", "2", "3"], "{read:?}");
    }
    assert_eq!(drain(&store), ["1", "2", "3"]);
}

#[test]
fn h12_a_failed_sync_in_the_background_is_told_once_and_the_file_closed() {
    let disk = CrashFs::new();
    let store = on(&disk, Durability::Interval(Duration::from_millis(1)));
    store.append(b"1").unwrap();
    wait_until(|| synced_since_last_write(&disk));
    disk.fail_from(disk.operations() + 1, Fault::FailedSync);
    store.append(b"2").unwrap();
    wait_until(|| synced_since_last_write(&disk));
    disk.heal();
    let error = store.append(b"3").unwrap_err();
    assert!(matches!(error, AppendError::Sync { written: false, .. }), "{error:?}");
    store.append(b"4").unwrap();
    assert_eq!(drain(&store), ["1", "2", "4"]);
}
