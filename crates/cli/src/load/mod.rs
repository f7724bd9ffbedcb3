//! Storing a file of lines.
//!
//! ```text
//! file ─► lines ─► batch (a thread: reads and parses ahead, within bounds) ─► load (stores batch after batch) ─► outcome
//! ```
//!
//! A batch is stored while the next ones are read. Its streams are appended to at the same time, each of them all or
//! nothing.

mod batch;
mod file;
pub(crate) mod lines;
mod outcome;

use std::io::{self, IsTerminal as _};
use std::pin::pin;

use bytes::Bytes;
use futures_util::future::join_all;
use indicatif::{ProgressBar, ProgressStyle};
use ledger_streams::{Appended, Expect, Store, StoreError};
use tokio::sync::mpsc;

pub(crate) use self::batch::{BadLine, ForStream, Input};
use self::batch::{Batch, Ending, Message, Stopped};
pub(crate) use self::file::{LoadArgs, LoadFile};
use self::outcome::{LineRanges, Progress};
pub(crate) use self::outcome::{LoadError, Loaded};
use crate::console::Console;
use crate::errors::Failure;

/// Stores the lines of a file, telling `on_stored` the ids of each batch.
///
/// With an expectation, nothing of anybody else comes in between either.
///
/// # Errors
/// [`LoadError`].
pub(crate) async fn load<S: Store<Payload = Bytes> + ?Sized>(
    store: &S,
    file: LoadFile,
    input: impl Input,
    mut expect: Expect<S::Id>,
    console: &mut Console<'_>,
    mut on_stored: impl FnMut(&[S::Id], &mut Console<'_>) -> io::Result<()>,
) -> Result<Loaded, Failure> {
    let LoadFile { name, total_bytes, skip_lines, bad_lines, plan } = file;
    let batches = batch::start(input, plan).map_err(Failure::Runtime)?;
    let mut batches = Batches { receiver: batches, waiting: None };
    let mut interrupt = pin!(tokio::signal::ctrl_c());
    let mut tally = Tally { file: name, stored: 0, duplicates: 0, through_line: skip_lines };
    let bar = progress_bar(total_bytes);
    let ending = loop {
        let message = tokio::select! {
            biased;
            _ = &mut interrupt => return Err(LoadError::Interrupted { progress: tally.progress() }.into()),
            message = batches.next() => message,
        };
        match message {
            Some(Message::Batch(batch)) => {
                let (last_line, consumed_bytes) = (batch.last_line, batch.consumed_bytes);
                let ids = tally.store(store, batch, &expect).await?;
                if let (Some(last), false) = (ids.last(), expect == Expect::Any) {
                    expect = Expect::LastId(last.clone());
                }
                tally.through_line = last_line;
                on_stored(&ids, console).map_err(|source| tally.unprinted(source))?;
                bar.set_position(consumed_bytes);
            }
            Some(Message::End(ended)) => break ended.map_err(|reason| tally.stopped(reason))?,
            None => {
                let progress = tally.progress();
                return Err(LoadError::ReaderLost { file: tally.file, progress }.into());
            }
        }
    };
    bar.finish_and_clear();
    tell_bad_lines(&ending, console);
    let bad_lines = bad_lines.map(|file| (ending.bad_lines, file));
    Ok(Loaded { stored: tally.stored, duplicates: tally.duplicates, bad_lines })
}

fn tell_bad_lines(ending: &Ending, console: &mut Console<'_>) {
    for told in &ending.told {
        console.note(format_args!("Warning: {told}"));
    }
    let others = ending.bad_lines.saturating_sub(ending.told.len() as u64);
    if others > 0 {
        console.note(format_args!("Warning: {others} more bad lines"));
    }
}

/// The batches that were read ahead; small ones that wait are put together.
struct Batches {
    receiver: mpsc::Receiver<Message>,
    waiting: Option<Message>,
}

impl Batches {
    /// Cancel-safe.
    async fn next(&mut self) -> Option<Message> {
        let first = match self.waiting.take() {
            Some(message) => message,
            None => self.receiver.recv().await?,
        };
        let Message::Batch(mut batch) = first else { return Some(first) };
        while let Ok(next) = self.receiver.try_recv() {
            match next {
                Message::Batch(next) if batch.has_room_for(&next) => batch.take_in(next),
                other => {
                    self.waiting = Some(other);
                    break;
                }
            }
        }
        Some(Message::Batch(batch))
    }
}

/// What has been done of a file.
struct Tally {
    file: String,
    stored: u64,
    duplicates: u64,
    through_line: u64,
}

impl Tally {
    fn progress(&self) -> Progress {
        let Self { stored, through_line, .. } = *self;
        Progress { stored, through_line, has_holes: false, bad_line: false }
    }

    fn stopped(&self, reason: Stopped) -> LoadError {
        let (file, progress) = (self.file.clone(), self.progress());
        match reason {
            Stopped::BadLine { line, problem } => {
                LoadError::BadLine { file, line, problem, progress: Progress { bad_line: true, ..progress } }
            }
            reason => LoadError::Stopped { file, reason, progress },
        }
    }

    fn unprinted(&self, source: io::Error) -> LoadError {
        LoadError::Unprinted { source, progress: self.progress() }
    }

    /// Stores a batch. Its streams are appended to at the same time, so that one commit serves them all.
    async fn store<S: Store<Payload = Bytes> + ?Sized>(
        &mut self,
        store: &S,
        batch: Batch,
        expect: &Expect<S::Id>,
    ) -> Result<Vec<S::Id>, LoadError> {
        let Batch { groups, last_line, .. } = batch;
        let appends = groups.into_iter().map(async |(stream, group)| {
            (group.lines, store.append(&stream, group.entries, expect.clone()).await)
        });
        let mut ids = Vec::new();
        let mut stored_lines = 0;
        let mut refused: Option<(Vec<u64>, StoreError)> = None;
        for (lines, outcome) in join_all(appends).await {
            match outcome {
                Ok(Appended { ids: written, duplicates, .. }) => {
                    self.stored = self.stored.saturating_add(written.len() as u64);
                    self.duplicates = self.duplicates.saturating_add(duplicates.len() as u64);
                    stored_lines = stored_lines.max(lines.last().copied().unwrap_or_default());
                    ids.extend(written);
                }
                Err(error) => match &mut refused {
                    Some((earlier, _)) => earlier.extend(lines),
                    None => refused = Some((lines, error)),
                },
            }
        }
        match refused {
            None => Ok(ids),
            Some((lines, error)) => Err(self.refused(lines, error, stored_lines, last_line)),
        }
    }

    /// `stored_lines` is the last line of the batch that was stored all the same.
    fn refused(
        &self,
        mut lines: Vec<u64>,
        source: StoreError,
        stored_lines: u64,
        last_line: u64,
    ) -> LoadError {
        lines.sort_unstable();
        let first = lines.first().copied().unwrap_or_default();
        let has_holes = stored_lines > first;
        let through_line = if has_holes { last_line } else { self.through_line.max(stored_lines) };
        let progress = Progress { through_line, has_holes, ..self.progress() };
        LoadError::Refused { file: self.file.clone(), lines: LineRanges(lines), source, progress }
    }
}

/// Shows how far it is, on a terminal; indicatif draws nothing elsewhere.
fn progress_bar(total_bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match total_bytes {
        _ if !io::stderr().is_terminal() => return ProgressBar::hidden(),
        Some(total) => (ProgressBar::new(total), "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {bytes_per_sec}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
