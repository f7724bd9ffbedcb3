//! Looking again at files that have not changed.

use std::time::Instant;

use ledger_yard::{ConfigFile, Home, Settings};

use crate::cargo::Yard;
use crate::common::report::Report;
use crate::common::support::quantile;

const FILES: usize = 10_000;
const RUNS: usize = 9;

pub(crate) fn unchanged_files(report: &mut Report) {
    let yard = Yard::with(FILES, false);
    let mut settings = Settings::new(ConfigFile::default(), Vec::new()).unwrap();
    settings.cargo_homes = vec![yard.at("cargo.d")];
    let home = Home::create(&yard.at("ledger.d")).unwrap();
    let mut measured = ledger_yard::Yard::new(settings, home, "watch".to_owned()).unwrap();
    let mut survey = || {
        let since = Instant::now();
        assert_eq!(measured.survey().unwrap().0.len(), FILES);
        since.elapsed().as_secs_f64() * 1e3
    };
    report.fact(&format!("scan of {FILES} files, all looked into (ms)"), survey());
    let mut times: Vec<f64> = (0..RUNS).map(|_| survey()).collect();
    times.sort_by(f64::total_cmp);
    report.at_most(&format!("rescan of {FILES} unchanged files, median (ms)"), quantile(&times, 0.5), 150.0);
}
