//! Verification against its bound and against the Python package; receipts.

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ledger_chain::{
    crypto::{Certificate, PublicKey},
    receipt::{CoseReceipt, Receipts},
    store::Reader,
    verify::{Verdict, Verifier},
    writer::{Engine, Home, Prepared, Settings, load_secrets},
};
use ledger_fs::{Dir, RealDir};
use sha2::{Digest as _, Sha256};

use crate::{entry, machine, recording::folder};

const ENTRIES: u64 = 50_000;
const ROUNDS: u32 = 9;

fn write(home: &Path, sign_every: u64) {
    let mut engine = Engine::init(&Home::open(home).unwrap(), &Settings::default()).unwrap();
    for number in 1..=ENTRIES {
        engine.propose(&Prepared::new(&entry(number, 170), None).unwrap()).unwrap();
        if number % sign_every == 0 {
            let signature = engine.sign(false).unwrap();
            engine.flush().unwrap();
            engine.commit(signature.seqno).unwrap();
        }
    }
    engine.flush().unwrap();
}

/// 50,000 entries, dual P-384 signatures.
pub fn full() {
    for sign_every in [100, 1_000] {
        let home = folder();
        write(home.path(), sign_every);
        let path = home.path().join("ledger");
        let dir: Arc<dyn Dir> = Arc::new(RealDir::open(&path).unwrap());
        let verify = || {
            let (cpu, begin) = (machine::cpu(false), Instant::now());
            let report = Verifier::new().verify(&dir).unwrap();
            assert_eq!(report.verdict, Verdict::Verified);
            (begin.elapsed(), machine::cpu(false).saturating_sub(cpu), report)
        };
        verify();
        let (key, signature) = signature(home.path());
        let mut ratios: Vec<f64> = (1..=ROUNDS)
            .map(|round| {
                let (ours, _, report) = verify();
                let bound = bound(&report, &key, &signature);
                let ratio = bound.as_secs_f64() / ours.as_secs_f64();
                println!(
                    "every {sign_every}, round {round}: {:.0} ms, bound {:.0} ms, ratio {ratio:.2}; {} entries, {} bytes, {} signatures",
                    ours.as_secs_f64() * 1e3,
                    bound.as_secs_f64() * 1e3,
                    report.entries,
                    report.bytes,
                    report.raw_signatures + report.cose_signatures
                );
                ratio
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        println!("every {sign_every}: median ratio {:.2} (bar 0.7)", ratios[ratios.len() / 2]);
        // Ticks are 10 ms, so many runs.
        let cpu = (0..20).map(|_| verify().1).sum::<Duration>() / 20;
        python(&path, sign_every, cpu);
    }
}

/// A root and a signature over it, as the ledger holds hundreds.
fn signature(home: &Path) -> (PublicKey, ([u8; 32], Vec<u8>)) {
    let home = Home::open(home).unwrap();
    let reader = Reader::open(home.ledger()).unwrap();
    let secrets = load_secrets(&RealDir::open(home.path().join("keys")).unwrap()).unwrap();
    let receipt = Receipts::new(&reader, &secrets).json(5).unwrap();
    let node = Certificate::from_pem(receipt.cert.as_bytes()).unwrap();
    (node.key().clone(), (receipt.root(), receipt.signature))
}

/// Hashes the same bytes (entries, leaves, nodes of the tree) and checks as many signatures, on all processors.
fn bound(
    report: &ledger_chain::verify::Report,
    key: &PublicKey,
    (root, signature): &([u8; 32], Vec<u8>),
) -> Duration {
    let size = (report.bytes / report.entries) as usize;
    let signatures = (report.raw_signatures + report.cose_signatures) as usize;
    let (entry, pair) = (vec![7u8; size], [7u8; 96]);
    let (entries, next, checked) = (report.entries as usize, AtomicUsize::new(0), AtomicUsize::new(0));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                while checked.fetch_add(1, Ordering::Relaxed) < signatures {
                    assert!(key.verifies_root(root, signature));
                }
                while next.fetch_add(100, Ordering::Relaxed) < entries {
                    for _ in 0..100 {
                        std::hint::black_box((
                            Sha256::digest(&entry),
                            Sha256::digest(pair),
                            Sha256::digest(&pair[..64]),
                        ));
                    }
                }
            });
        }
    });
    begin.elapsed()
}

fn python(path: &Path, sign_every: u64, ours: Duration) {
    let bar = if sign_every == 100 { 8 } else { 10 };
    let Some(interpreter) = std::env::var_os("LEDGER_BENCH_PYTHON") else {
        println!(
            "every {sign_every}: {:.0} ms of processor time; set LEDGER_BENCH_PYTHON to compare",
            ours.as_secs_f64() * 1e3
        );
        return;
    };
    let before = machine::cpu(true);
    let program = "import sys; sys.argv = ['read_ledger.py', sys.argv[1], '--uncommitted', '-q']; from ccf.read_ledger import main; main()";
    let output = Command::new(interpreter).args(["-c", program]).arg(path).output().unwrap();
    let theirs = machine::cpu(true) - before;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Ledger verification complete"), "{text}");
    println!(
        "every {sign_every}: {:.0} ms of processor time, Python {:.0} ms, {:.1} times (bar {bar})",
        ours.as_secs_f64() * 1e3,
        theirs.as_secs_f64() * 1e3,
        theirs.as_secs_f64() / ours.as_secs_f64()
    );
}

/// Making and checking receipts.
pub fn receipts() {
    let folder = folder();
    write(folder.path(), 1_000);
    let home = Home::open(folder.path()).unwrap();
    let reader = Reader::open(home.ledger()).unwrap();
    let secrets = load_secrets(&RealDir::open(home.path().join("keys")).unwrap()).unwrap();
    let receipts = Receipts::new(&reader, &secrets);
    let service =
        Certificate::from_pem(&std::fs::read(home.path().join("keys/service_cert.pem")).unwrap()).unwrap();
    let (key, (root, signed)) = signature(folder.path());
    let each = |count: u32, run: &mut dyn FnMut(u64)| {
        let begin = Instant::now();
        (0..count).for_each(|number| run(5 + u64::from(number) * 97 % 40_000));
        begin.elapsed().as_secs_f64() * 1e6 / f64::from(count)
    };
    // Signature entries have no receipt of this kind; these numbers meet none.
    let ordinary = |seqno: u64| if (seqno - 4).is_multiple_of(1_001) { seqno + 1 } else { seqno };
    let json = each(300, &mut |seqno| drop(receipts.json(ordinary(seqno)).unwrap()));
    let cose = each(300, &mut |seqno| drop(receipts.cose(ordinary(seqno)).unwrap()));
    let one = receipts.json(ordinary(777)).unwrap().to_json();
    let message = receipts.cose(ordinary(777)).unwrap();
    let bare = each(300, &mut |_| assert!(key.verifies_root(&root, &signed)));
    let check_json = each(300, &mut |_| {
        let receipt = ledger_chain::receipt::Receipt::from_json(one.as_bytes()).unwrap();
        receipt.verify(service.key()).unwrap();
    });
    let check_cose =
        each(300, &mut |_| _ = CoseReceipt::parse(&message).unwrap().verify(service.key()).unwrap());
    println!("make: JSON {json:.0} µs, COSE {cose:.0} µs (bar 1000)");
    // A JSON receipt needs two checks: of the root, and of the node's certificate.
    println!(
        "verify: JSON {check_json:.0} µs = {:.2} × two bare checks, COSE {check_cose:.0} µs = {:.2} × one (bar 1.5; one takes {bare:.0} µs)",
        check_json / (2.0 * bare),
        check_cose / bare
    );
}
