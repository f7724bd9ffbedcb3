//! Arbitrary contents of chunk files: verifying, reading, following and comparing them ends in a report or an error, never in a
//! panic, and all ways of reading agree. A writer that opens them finds the same entries the second time.
//!
//! The first byte says what the file is called: `ledger_1`, or closed or committed up to an entry.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use ledger_chain::follow::Follower;
use ledger_chain::format::ChunkName;
use ledger_chain::store::{ChunkStore, Reader, StoreError};
use ledger_chain::verify::{Secrets, Verdict, Verifier, compare};
use ledger_fs::crash::CrashFs;
use ledger_fs::{Dir, Open, append_all};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((kind, contents)) = input.split_first() else { return };
    let end = u64::from(kind / 4).max(1);
    let name = match kind % 4 {
        0 | 1 => ChunkName::open(1),
        2 => ChunkName::closed(1, end),
        _ => ChunkName::committed(1, end),
    };
    let fs = CrashFs::new();
    let dir: Arc<dyn Dir> = fs.dir();
    let file = dir.open(Path::new(&name.to_string()), Open::APPEND.create_new()).unwrap();
    append_all(&*file, contents, 0).unwrap();

    let report = Verifier::new().threads(1).verify(&dir).unwrap();
    assert_eq!(report.verdict == Verdict::Damaged, !report.problems.is_empty());
    let same = compare(&*dir, &*dir).unwrap();
    if report.verdict == Verdict::Verified {
        assert!(same.difference.is_none() && same.common_entries == report.entries);
    }
    let whole = read(&dir);
    follow(&dir, whole);
    reopen(&dir, whole.filter(|_| name.end.is_none()));
});

/// The number of whole entries, if the file can be read.
fn read(dir: &Arc<dyn Dir>) -> Option<u64> {
    let reader = Reader::open(dir.clone()).ok()?;
    let mut count = 0;
    let scanned = reader.scan(1, |seqno, bytes| {
        count += 1;
        assert_eq!(seqno, count);
        assert_eq!(reader.read(seqno).ok().as_deref(), Some(bytes));
        Ok::<_, StoreError>(true)
    });
    scanned.ok().map(|()| count)
}

/// Nothing that cannot be read is handed out.
fn follow(dir: &Arc<dyn Dir>, whole: Option<u64>) {
    let mut last = 0;
    let mut follower = Follower::new(dir.clone(), 1);
    for _ in 0..2 {
        let outcome = follower.poll(|entry| {
            last += 1;
            assert_eq!(entry.txid().seqno, last);
            Ok::<_, StoreError>(true)
        });
        if outcome.is_err() {
            return;
        }
    }
    assert!(whole.is_none_or(|whole| last <= whole));
}

fn reopen(dir: &Arc<dyn Dir>, whole: Option<u64>) {
    let Ok((store, _)) = ChunkStore::open(dir.clone(), &Secrets::none()) else { return };
    let last = store.last();
    assert!(whole.is_none_or(|whole| last <= whole));
    drop(store);
    let (store, recovered) = ChunkStore::open(dir.clone(), &Secrets::none()).unwrap();
    assert!(store.last() == last && recovered.set_aside.is_none());
}
