//! Figures: printed as they come, written as JSON at the end.

use std::fmt::Write as _;

/// The figures of a run.
pub(crate) struct Report {
    name: &'static str,
    lines: Vec<serde_json::Value>,
}

impl Report {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, lines: Vec::new() }
    }

    /// A rate per second beside its calibration; the bar is the smallest ratio that is good.
    pub(crate) fn rate(&mut self, case: &str, ours: f64, calibration: &str, theirs: f64, bar: f64) {
        let ratio = ours / theirs;
        let verdict = if ratio >= bar { "ok" } else { "BELOW" };
        println!(
            "{case}: {ours:.0}/s; {calibration}: {theirs:.0}/s; ratio {ratio:.2} (bar {bar}: {verdict})"
        );
        self.lines.push(serde_json::json!({
            "case": case, "ours": ours, "calibration": calibration, "calibrated": theirs, "ratio": ratio, "bar": bar,
        }));
    }

    /// A figure with an upper bound.
    pub(crate) fn at_most(&mut self, case: &str, ours: f64, bar: f64) {
        let verdict = if ours <= bar { "ok" } else { "ABOVE" };
        println!("{case}: {ours:.1} (bar {bar}: {verdict})");
        self.lines.push(serde_json::json!({ "case": case, "ours": ours, "bar": bar }));
    }

    /// A figure without a bound.
    pub(crate) fn fact(&mut self, case: &str, ours: f64) {
        println!("{case}: {ours:.1}");
        self.lines.push(serde_json::json!({ "case": case, "ours": ours }));
    }

    /// Writes all figures as JSON.
    pub(crate) fn write(&self) {
        let target = std::env::var("CARGO_TARGET_DIR")
            .unwrap_or_else(|_| format!("{}/../../target", env!("CARGO_MANIFEST_DIR")));
        let path = format!("{target}/bench-{}.json", self.name);
        let mut text = String::new();
        writeln!(text, "{:#}", serde_json::json!(self.lines)).unwrap();
        std::fs::write(&path, text).unwrap();
        println!("written to {path}");
    }
}
