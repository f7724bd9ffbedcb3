//! Noticing writes by other processes, so that subscribers hear of them.
//!
//! The operating system tells when the files of the database change: that is the hint. What counts is SQLite's
//! `data_version`, which the writer looks at after a hint, and every [`RESCAN`] without one, because hints can be
//! missing (network file systems, exhausted watches).

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::writer::Writer;

/// Longest time without a look, whatever the hints say.
const RESCAN: Duration = Duration::from_millis(500);
/// Hints that come within this time are one: our own commits cause them too.
const COALESCE: Duration = Duration::from_millis(2);

/// Looks after a hint: the last change of a file is seen before the commit that it belongs to has been synced.
const AFTER_A_HINT: [Duration; 3] =
    [Duration::from_millis(5), Duration::from_millis(20), Duration::from_millis(100)];

/// Keeps the watching thread alive.
pub(crate) struct ForeignWatch {
    inbox: Sender<Hint>,
}

enum Hint {
    FilesChanged,
    Stop,
}

impl ForeignWatch {
    /// Starts watching on behalf of a writer, until it is dropped.
    pub(crate) fn start(database: &Path, writer: Writer) -> std::io::Result<Self> {
        let (inbox, hints) = channel();
        let watching = watch_files(database, inbox.clone()).inspect_err(
            |error| tracing::warn!(%error, "no hints of writes by other processes; looking instead"),
        );
        let body = move || {
            let _watching = watching;
            serve(&hints, &writer);
        };
        std::thread::Builder::new().name("ledger-sqlite-watch".to_owned()).spawn(body)?;
        Ok(Self { inbox })
    }
}

impl Drop for ForeignWatch {
    fn drop(&mut self) {
        let _ = self.inbox.send(Hint::Stop);
    }
}

fn watch_files(database: &Path, inbox: Sender<Hint>) -> notify::Result<RecommendedWatcher> {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut watcher = notify::recommended_watcher(move |_| {
        let _ = inbox.send(Hint::FilesChanged);
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn serve(hints: &Receiver<Hint>, writer: &Writer) {
    let mut looks = AFTER_A_HINT.len();
    loop {
        let patience = AFTER_A_HINT.get(looks).copied().unwrap_or(RESCAN);
        match hints.recv_timeout(patience) {
            Ok(Hint::FilesChanged) => {
                std::thread::sleep(COALESCE);
                looks = 0;
            }
            Err(RecvTimeoutError::Timeout) => looks = looks.saturating_add(1),
            Ok(Hint::Stop) | Err(RecvTimeoutError::Disconnected) => return,
        }
        while let Ok(hint) = hints.try_recv() {
            if matches!(hint, Hint::Stop) {
                return;
            }
        }
        writer.look_for_foreign_writes();
    }
}
