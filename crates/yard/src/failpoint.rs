//! Failure points: named steps at which a test ends the process as `kill -9` does.
//!
//! They exist with the feature `failpoints` alone, which no released binary has. Two variables, which keepers inherit:
//!
//! | variable | effect |
//! |---|---|
//! | `LEDGER_FAILPOINT_TRACE=FILE` | every step that any process passes is appended to the file, one name per line |
//! | `LEDGER_FAILPOINT_KILL=NAME#N` | whoever passes the step for the N-th time, counted over all processes in that file, is killed |
//!
//! A test records a run, then kills one run at each line of it.

/// A step has been passed.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn reached(_step: &str) {}

/// A step has been passed.
#[cfg(feature = "failpoints")]
pub(crate) fn reached(step: &str) {
    let Some(trace) = std::env::var_os("LEDGER_FAILPOINT_TRACE") else { return };
    let Ok(count) = note(std::path::Path::new(&trace), step) else { return };
    if std::env::var("LEDGER_FAILPOINT_KILL").is_ok_and(|kill| kill == format!("{step}#{count}")) {
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    }
}

/// Appends a line; answers how many like it there are up to this one.
#[cfg(feature = "failpoints")]
fn note(trace: &std::path::Path, step: &str) -> std::io::Result<usize> {
    use std::io::{Seek, Write};
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(trace)?;
    file.write_all(format!("{step}\n").as_bytes())?;
    // Behind what was just appended: the system moves the position of this very descriptor there.
    let end = usize::try_from(file.stream_position()?).unwrap_or(usize::MAX);
    let text = std::fs::read(trace)?;
    let text = String::from_utf8_lossy(text.get(..end).unwrap_or(&text));
    Ok(text.lines().filter(|line| *line == step).count())
}
