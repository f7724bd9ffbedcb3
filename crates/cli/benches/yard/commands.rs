//! Commands over a yard that runs.

use crate::cargo::{SERVICES, Yard};
use crate::common::report::Report;
use crate::common::support::quantile;

const RUNS: usize = 20;

pub(crate) fn list_and_stop(report: &mut Report) {
    let yard = Yard::with(SERVICES, true);
    yard.start();
    for command in ["ps", "ls"] {
        let mut times: Vec<f64> = (0..RUNS).map(|_| yard.run(&[command]).as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        report.at_most(
            &format!("`{command}` with {SERVICES} services, median (ms)"),
            quantile(&times, 0.5),
            50.0,
        );
    }
    let took = yard.run(&["kill"]).as_secs_f64() * 1e3;
    report.at_most(&format!("`kill` of {SERVICES} services that end when told (ms)"), took, 3000.0);
}
