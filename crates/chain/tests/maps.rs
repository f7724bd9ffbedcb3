//! Maps over the ledger, and the index that can be thrown away.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod common;

use std::{collections::BTreeMap, fs};

use common::open;
use ledger_chain::{
    WriteSet,
    maps::{Maps, MapsError},
    verify::Secrets,
    writer::{Home, Ledger, Prepared, Settings},
};
use proptest::prelude::*;

fn settings(chunk_bytes: u64) -> Settings {
    Settings { sign_every_entries: 5, chunk_bytes, ..common::settings() }
}

type Model = BTreeMap<(String, Vec<u8>), Vec<(u64, Option<Vec<u8>>)>>;

/// Every answer equals the model's.
fn check(maps: &Maps, model: &Model, last: u64) {
    for ((map, key), versions) in model {
        let history: Vec<_> = maps
            .history(map, key)
            .unwrap()
            .map(Result::unwrap)
            .map(|version| (version.txid.seqno, version.value))
            .collect();
        assert_eq!(&history, versions);
        for at in [0, 7, last / 2, last] {
            let want = versions.iter().rev().find(|(seqno, _)| *seqno <= at);
            let got = maps.get_at(map, key, at).unwrap().map(|version| (version.txid.seqno, version.value));
            assert_eq!(got.as_ref(), want);
        }
    }
    for map in ["public:a", "b"] {
        for (from, prefix, at) in
            [("", "", u64::MAX), ("k2", "", u64::MAX), ("", "k1", u64::MAX), ("", "", last / 2)]
        {
            let want: Vec<_> = model
                .iter()
                .filter(|((name, key), _)| {
                    name == map && key.as_slice() >= from.as_bytes() && key.starts_with(prefix.as_bytes())
                })
                .filter_map(|((_, key), versions)| {
                    let (_, value) = versions.iter().rev().find(|(seqno, _)| *seqno <= at)?;
                    Some((key.clone(), value.clone()?))
                })
                .collect();
            let got = maps.range(map, from.as_bytes(), prefix.as_bytes(), at, usize::MAX).unwrap();
            let got: Vec<_> = got.into_iter().map(|row| (row.key, row.value)).collect();
            assert_eq!(got, want);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn answers_equal_those_of_a_model(
        writes in prop::collection::vec((any::<bool>(), 0u8..25, prop::option::of(0u8..9)), 1..150),
        chunk_bytes in prop::sample::select(vec![1u64, 3_000, 1 << 30]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::init(folder.path(), settings(chunk_bytes)).unwrap();
        let mut model = Model::new();
        let mut last = 0;
        for (public, key, value) in writes {
            let map = if public { "public:a" } else { "b" };
            let key = format!("k{key}").into_bytes();
            let value = value.map(|value| vec![value; usize::from(value)]);
            let mut entry = WriteSet::new();
            match &value {
                Some(value) => entry.put(map, key.clone(), value.clone()),
                None => entry.remove(map, key.clone()),
            };
            let appended = ledger.submit(Prepared::new(&entry, None).unwrap()).unwrap().wait().unwrap();
            last = appended.txid.seqno;
            model.entry((map.to_owned(), key)).or_default().push((last, value));
        }
        ledger.close().unwrap();
        let home = Home::open(folder.path()).unwrap();
        // Built, then found, then thrown away and built again, then half of it damaged.
        for round in 0..4 {
            check(&Maps::open(&home).unwrap(), &model, last);
            if round == 1 {
                fs::remove_dir_all(folder.path().join("index")).unwrap();
            }
            if round == 2 {
                for (at, entry) in fs::read_dir(folder.path().join("index")).unwrap().enumerate() {
                    let path = entry.unwrap().path();
                    let bytes = fs::read(&path).unwrap();
                    if at % 2 == 0 && !bytes.is_empty() {
                        fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
                    }
                }
            }
        }
    }
}

#[test]
fn an_index_of_another_ledger_is_not_used() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (folder, value) in [(&one, "one"), (&two, "two")] {
        let ledger = Ledger::init(folder.path(), settings(1)).unwrap();
        for at in 0..10 {
            ledger.append(&common::record(&format!("{value}-{at}"), value)).unwrap();
        }
        drop(ledger);
        Maps::open(&Home::open(folder.path()).unwrap()).unwrap();
    }
    for entry in fs::read_dir(one.path().join("index")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), two.path().join("index").join(entry.file_name())).unwrap();
    }
    let maps = Maps::open(&Home::open(two.path()).unwrap()).unwrap();
    assert_eq!(maps.get("public:app.records", b"two-3").unwrap().unwrap().value.unwrap(), b"two");
    assert_eq!(maps.get("public:app.records", b"one-3").unwrap(), None);
}

#[test]
fn runs_are_merged_so_that_their_number_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::init(folder.path(), settings(1)).unwrap();
    let home = Home::open(folder.path()).unwrap();
    for at in 0..40 {
        for key in 0..5 {
            ledger.append(&common::record(&format!("{key}"), &format!("{at}"))).unwrap();
        }
        assert!(Maps::open(&home).unwrap().run_count() <= 16);
    }
    let maps = Maps::open(&home).unwrap();
    assert!(maps.run_count() <= 16, "{}", maps.run_count());
    assert_eq!(maps.history("public:app.records", b"3").unwrap().count(), 40);
}

#[test]
fn without_the_secret_private_maps_stay_closed_and_public_ones_open() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::init(folder.path(), settings(1)).unwrap();
    let mut writes = WriteSet::new();
    writes.put("public:a", "k", "v").put("b", "k", "secret");
    ledger.append(&writes).unwrap();
    ledger.close().unwrap();
    let index = tempfile::tempdir().unwrap();
    let maps =
        Maps::open_in(open(&folder.path().join("ledger")), &open(index.path()), Secrets::none()).unwrap();
    assert_eq!(maps.get("public:a", b"k").unwrap().unwrap().value.unwrap(), b"v");
    assert_eq!(maps.get("b", b"k").unwrap(), None);
}

#[test]
fn the_hexdump_of_the_documentation_is_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, index) = (folder.path().join("ledger"), folder.path().join("index"));
    fs::create_dir_all(&ledger).unwrap();
    fs::create_dir_all(&index).unwrap();
    fs::copy(common::fixture("valid/example/ledger_1-2.committed"), ledger.join("ledger_1-2.committed"))
        .unwrap();
    Maps::open_in(open(&ledger), &open(&index), Secrets::none()).unwrap();
    let run = fs::read(index.join("run_1-2")).unwrap();
    let (head, rest) = run.split_at(40);
    assert_eq!(&head[..24], [&b"LCHRUN1\0"[..], &1u64.to_le_bytes(), &2u64.to_le_bytes()].concat());
    // The example writes k1 and k2 and removes k0: three records of 20 bytes of key.
    assert_eq!(&head[24..], [3u64.to_le_bytes(), (72u64 + 3 * 32).to_le_bytes()].concat());
    let record = &rest[32..64];
    assert_eq!(
        record,
        [&20u32.to_le_bytes()[..], &14u32.to_be_bytes(), b"public:records", b"k0", &1u64.to_le_bytes()]
            .concat()
    );
    assert_eq!(&run[run.len() - 24..run.len() - 16], 72u64.to_le_bytes());
}

/// A ledger with snapshots and without an index, and the model of what it holds.
fn with_snapshots() -> (tempfile::TempDir, Model, u64) {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { snapshot_tx_interval: 40, ..settings(3_000) };
    let ledger = Ledger::init(folder.path(), settings).unwrap();
    let (mut model, mut last) = (Model::new(), 0);
    for at in 0..200u32 {
        let map = if at % 3 == 0 { "b" } else { "public:a" };
        let (key, value) = (format!("k{}", at * 7 % 31).into_bytes(), at.to_le_bytes().to_vec());
        let mut writes = WriteSet::new();
        writes.put(map, key.clone(), value.clone());
        last = ledger.append(&writes).unwrap().txid.seqno;
        model.entry((map.to_owned(), key)).or_default().push((last, Some(value)));
    }
    ledger.close().unwrap();
    (folder, model, last)
}

fn files(folder: &std::path::Path, prefix: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix)).collect()
}

#[test]
fn without_an_index_maps_begin_with_a_snapshot_and_build_the_history_when_it_is_asked_for() {
    let (folder, model, last) = with_snapshots();
    let home = Home::open(folder.path()).unwrap();
    let index = folder.path().join("index");
    for _ in 0..2 {
        // The second time the run of the snapshot is there already.
        let maps = Maps::open(&home).unwrap();
        assert_eq!(files(&index, "base_").len(), 1);
        for ((map, key), versions) in &model {
            let (seqno, value) = versions.last().unwrap();
            let found = maps.get(map, key).unwrap().unwrap();
            assert_eq!((found.txid.seqno, &found.value), (*seqno, value));
        }
        assert_eq!(maps.range("public:a", b"", b"", u64::MAX, 100).unwrap().len(), 31);
    }
    check(&Maps::open(&home).unwrap(), &model, last);
    assert_eq!(files(&index, "base_").len(), 0);
    check(&Maps::open(&home).unwrap(), &model, last);
}

#[test]
fn a_damaged_snapshot_does_not_spoil_an_index_and_with_none_left_the_history_is_read() {
    let (folder, model, last) = with_snapshots();
    let home = Home::open(folder.path()).unwrap();
    let mut snapshots = files(&folder.path().join("snapshots"), "snapshot_");
    snapshots.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    assert!(snapshots.len() >= 2);
    while let Some(newest) = snapshots.pop() {
        let mut bytes = fs::read(&newest).unwrap();
        bytes[200] ^= 1;
        fs::write(&newest, bytes).unwrap();
        fs::remove_dir_all(folder.path().join("index")).unwrap();
        let maps = Maps::open(&home).unwrap();
        let bases = usize::from(!snapshots.is_empty());
        assert_eq!(files(&folder.path().join("index"), "base_").len(), bases);
        let ((map, key), versions) = model.iter().next().unwrap();
        assert_eq!(maps.get(map, key).unwrap().unwrap().txid.seqno, versions.last().unwrap().0);
    }
    check(&Maps::open(&home).unwrap(), &model, last);
}

#[test]
fn where_the_first_chunks_are_gone_values_come_from_the_snapshot_and_earlier_states_are_refused() {
    let (folder, model, last) = with_snapshots();
    let home = Home::open(folder.path()).unwrap();
    let newest = ledger_chain::snapshot::list(&*home.snapshots()).unwrap().committed[0];
    // With the index of the whole ledger in place: it does not know of the gap.
    drop(Maps::open(&home).unwrap().history("public:a", b"k1").unwrap());
    for (name, path) in common::chunks(&folder.path().join("ledger")) {
        if name.end.is_some_and(|end| end <= newest.seqno) {
            fs::remove_file(path).unwrap();
        }
    }
    let maps = Maps::open(&home).unwrap();
    for ((map, key), versions) in &model {
        let (seqno, value) = versions.last().unwrap();
        let found = maps.get(map, key).unwrap().unwrap();
        assert_eq!((found.txid.seqno, &found.value), (*seqno, value));
        assert!(found.txid.view >= 2);
    }
    let rows = maps.range("b", b"", b"", last, 100).unwrap();
    assert_eq!(rows.len(), model.keys().filter(|(map, _)| map == "b").count());
    assert!(matches!(maps.get_at("public:a", b"k1", 7), Err(MapsError::Gone { .. })));
    assert!(matches!(maps.history("public:a", b"k1"), Err(MapsError::Gone { .. })));
}
