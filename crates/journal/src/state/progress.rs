//! Progress of long commands on standard error (specification §1.2).

use std::io::{IsTerminal as _, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Runs work that reports how many bytes of how many are done: as a bar on a terminal, as lines where
/// `RELAYBURN_PROGRESS` asks for them, else silently.
pub(super) fn with_progress<T>(
    label: &str,
    err: &mut dyn Write,
    work: impl FnOnce(&mut dyn FnMut(u64, u64)) -> T,
) -> T {
    let wish = std::env::var("RELAYBURN_PROGRESS").unwrap_or_default().trim().to_lowercase();
    let forced = matches!(wish.as_str(), "1" | "true" | "yes" | "on");
    let silenced = matches!(wish.as_str(), "0" | "false" | "no" | "off")
        || (!forced && std::env::var("CI").is_ok_and(|ci| ci == "true"));
    let terminal = std::io::stderr().is_terminal();
    if silenced || !(terminal || forced) {
        return work(&mut |_, _| {});
    }
    if terminal {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}") {
            bar.set_style(style);
        }
        bar.set_message(label.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        let result = work(&mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        return result;
    }
    let mut told = 0;
    work(&mut |done, total| {
        let tenth = done.saturating_mul(10).checked_div(total).unwrap_or(10);
        if tenth > told {
            told = tenth;
            // Progress is not worth a failure.
            let _ = writeln!(err, "[burn] {label}: {}%", tenth * 10);
        }
    })
}
