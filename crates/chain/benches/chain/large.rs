//! A large ledger: opening it, building its index, recovering it, and the memory of it all.

use std::time::Instant;

use ledger_chain::{
    maps::Maps,
    writer::{Engine, Home, Prepared, Settings},
};

use crate::{entry, machine, recording::folder};

pub fn open_and_recover() {
    let entries: u64 =
        std::env::var("LEDGER_BENCH_ENTRIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let folder = folder();
    let home = Home::open(folder.path()).unwrap();
    let settings = Settings::default();
    let begin = Instant::now();
    let mut engine = Engine::init(&home, &settings).unwrap();
    for number in 1..=entries {
        engine.propose(&Prepared::new(&entry(number, 256), None).unwrap()).unwrap();
        if number % 1_000 == 0 {
            let signature = engine.sign(false).unwrap();
            engine.flush().unwrap();
            engine.commit(signature.seqno).unwrap();
        }
    }
    engine.flush().unwrap();
    drop(engine);
    println!("{entries} entries written by the engine in {:.1} s", begin.elapsed().as_secs_f64());

    let begin = Instant::now();
    let maps = Maps::open(&home).unwrap();
    let built = begin.elapsed().as_secs_f64();
    println!(
        "index built: {:.2} s, {:.2} million entries/s (bar 1), {} files",
        built,
        entries as f64 / 1e6 / built,
        maps.run_count()
    );
    drop(maps);
    let begin = Instant::now();
    let maps = Maps::open(&home).unwrap();
    let opened = begin.elapsed();
    let begin = Instant::now();
    let key = format!("key-{:012}", entries / 2);
    assert!(maps.get("public:app.records", key.as_bytes()).unwrap().is_some());
    println!(
        "maps opened with index: {:.0} ms (bar 200), one value {:.0} µs",
        opened.as_secs_f64() * 1e3,
        begin.elapsed().as_secs_f64() * 1e6
    );
    drop(maps);
    let begin = Instant::now();
    drop(Engine::open(&home, &settings).unwrap());
    println!("opened for writing: {:.0} ms (bar 200)", begin.elapsed().as_secs_f64() * 1e3);

    let bytes: u64 = std::fs::read_dir(folder.path().join("ledger"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    let begin = Instant::now();
    let (_, recovery) = Engine::recover(&home, &settings).unwrap();
    let recovered = begin.elapsed().as_secs_f64();
    println!(
        "recovered {} MB up to {} in {recovered:.1} s: {:.1} s for 1 GB (bar 15)",
        bytes >> 20,
        recovery.kept_until,
        recovered * (1u64 << 30) as f64 / bytes as f64
    );
    println!("peak memory after {entries} entries: {} MB", machine::peak_memory_mb());
}
