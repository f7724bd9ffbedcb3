//! From a new file to the process over it.

use std::time::{Duration, Instant};

use crate::cargo::Yard;
use crate::common::report::Report;
use crate::common::support::quantile;

/// Services that are there already.
const SERVICES: usize = 20;
const FILES: usize = 10;
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn new_file(report: &mut Report) {
    let yard = Yard::with(SERVICES, true);
    let mut watch = yard.watch();
    let mut times = Vec::new();
    for number in 0..FILES {
        std::fs::copy(yard.at("template"), yard.at("moved")).unwrap();
        let context = yard.at(&format!("ledger.d/watch/new-{number}.db.context.json"));
        let since = Instant::now();
        std::fs::rename(yard.at("moved"), yard.at(&format!("cargo.d/new-{number}.db"))).unwrap();
        while !has_process(&context) {
            assert!(since.elapsed() < PATIENCE, "the watch does not see the file");
            std::thread::sleep(Duration::from_millis(1));
        }
        times.push(since.elapsed().as_secs_f64() * 1e3);
        // The watch has had its round and waits again.
        std::thread::sleep(Duration::from_millis(500));
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
    times.sort_by(f64::total_cmp);
    report.fact("a new file to its process in watch mode, median (ms)", quantile(&times, 0.5));
    report.at_most("a new file to its process in watch mode, worst (ms)", times[FILES - 1], 500.0);
}

fn has_process(context: &std::path::Path) -> bool {
    let bytes = std::fs::read(context).unwrap_or_default();
    let context: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    context["pid"].is_u64()
}
