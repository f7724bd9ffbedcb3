//! Noticing writes by other processes, so that subscribers hear of them.
//!
//! The operating system tells when the files of the database change: that is the hint. What counts is SQLite's
//! `data_version`, which the writer looks at after a hint, and every [`RESCAN`] without one, because hints can be
//! missing (network file systems, exhausted watches).

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use notify::{RecursiveMode, Watcher};

use crate::writer::Writer;

/// Longest time without a look, whatever the hints say.
const RESCAN: Duration = Duration::from_millis(500);
/// Hints that come within this time are one: our own commits cause them too.
const COALESCE: Duration = Duration::from_millis(2);

/// Keeps the watching thread alive.
pub(crate) struct ForeignWatch {
    _stop: Sender<()>,
}

impl ForeignWatch {
    /// Starts watching on behalf of a writer, until it is dropped.
    pub(crate) fn start(database: &Path, writer: Writer) -> std::io::Result<Self> {
        let (sender, hints) = channel();
        let hint = sender.clone();
        let watcher = notify::recommended_watcher(move |_| {
            let _ = hint.send(());
        });
        let folder =
            database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let watching = watcher.and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        let watching = watching
            .inspect_err(
                |error| tracing::warn!(%error, "no hints of writes by other processes; looking instead"),
            )
            .ok();
        let (stop, stopped) = channel::<()>();
        let body = move || {
            let _watching = watching;
            loop {
                if matches!(hints.recv_timeout(RESCAN), Err(RecvTimeoutError::Disconnected)) {
                    return;
                }
                if matches!(stopped.recv_timeout(COALESCE), Err(RecvTimeoutError::Disconnected)) {
                    return;
                }
                while hints.try_recv().is_ok() {}
                writer.look_for_foreign_writes();
            }
        };
        std::thread::Builder::new().name("ledger-sqlite-watch".to_owned()).spawn(body)?;
        drop(sender);
        Ok(Self { _stop: stop })
    }
}
