//! Storing a file: from batches to the store, and what to say if it ends early.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::pin::pin;

use bytes::Bytes;
use clap::Args;
use futures_util::future::join_all;
use indicatif::{ProgressBar, ProgressStyle};
use ledger_streams::{Appended, Expect, Store, StoreError};
use tokio::sync::mpsc;

use crate::args::number;
use crate::batch::{self, Batch, Ending, Input, Message, Plan, Stopped};
use crate::console::Console;
use crate::errors::Failure;

/// How the lines of a file are treated.
#[derive(Args, Clone, Debug)]
pub(crate) struct LoadArgs {
    /// Pass over this many lines at the beginning, because an earlier run has stored them
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true, value_parser = number)]
    skip_lines: usize,
    /// Add lines that cannot be stored to this file and go on; without it the first one is an error
    #[arg(long, value_name = "FILE")]
    skip_bad: Option<PathBuf>,
}

impl LoadArgs {
    /// Whether nothing was asked for.
    pub(crate) fn is_default(&self) -> bool {
        self.skip_lines == 0 && self.skip_bad.is_none()
    }
}

/// A file that was opened for loading.
pub(crate) struct LoadFile {
    name: String,
    total_bytes: Option<u64>,
    skip_lines: u64,
    bad_lines: Option<PathBuf>,
    plan: Plan,
}

impl LoadFile {
    /// Opens a file, or standard input for `-`, and the file for its bad lines.
    ///
    /// # Errors
    /// [`Failure::File`], and [`Failure::Arguments`] if both are the same file.
    pub(crate) fn open(path: &Path, args: LoadArgs) -> Result<Self, Failure> {
        let is_standard_input = path == Path::new("-");
        let (source, total_bytes): (Box<dyn Read + Send>, _) = if is_standard_input {
            (Box::new(io::stdin()), None)
        } else {
            let (file, bytes) = open_file(path).map_err(|error| failure("read", path, error))?;
            (Box::new(file), bytes)
        };
        let bad_lines = match &args.skip_bad {
            Some(bad_lines) => Some(open_bad_lines(bad_lines, path)?),
            None => None,
        };
        let name = if is_standard_input { "standard input".to_owned() } else { path.display().to_string() };
        let (skip_lines, is_live) = (args.skip_lines as u64, total_bytes.is_none());
        let plan = Plan { source, is_live, skip_lines, bad_lines };
        Ok(Self { name, total_bytes, skip_lines, bad_lines: args.skip_bad, plan })
    }
}

/// The size is known of regular files only.
fn open_file(path: &Path) -> io::Result<(File, Option<u64>)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok((file, metadata.is_file().then_some(metadata.len())))
}

fn open_bad_lines(path: &Path, input: &Path) -> Result<File, Failure> {
    let file = File::options().append(true).create(true).open(path);
    let file = file.map_err(|error| failure("write", path, error))?;
    let is_same = |path: &Path| path.canonicalize().ok();
    if is_same(input).is_some_and(|input| Some(input) == is_same(path)) {
        return Err(Failure::Arguments("--skip-bad names the file that is being read".to_owned()));
    }
    Ok(file)
}

fn failure(action: &'static str, path: &Path, source: io::Error) -> Failure {
    Failure::File { action, path: path.to_owned(), source }
}

/// What became of a file.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Entries that were stored.
    pub(crate) stored: u64,
    /// Entries that were there already.
    pub(crate) duplicates: u64,
    bad_lines: Option<(u64, PathBuf)>,
}

impl fmt::Display for Loaded {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(text, "{} entries", self.stored)?;
        if self.duplicates > 0 {
            write!(text, ", {} were there already", self.duplicates)?;
        }
        match &self.bad_lines {
            Some((lines, file)) if *lines > 0 => {
                write!(text, ", {lines} bad lines set aside in {}", file.display())
            }
            _ => Ok(()),
        }
    }
}

/// Why a file was not stored to its end, how far it was, and how to go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// A line means nothing.
    #[error("line {line} of {file}: {problem}\n{progress}")]
    BadLine {
        /// The file.
        file: String,
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: batch::BadLine,
        /// How far it was stored.
        progress: Progress,
    },
    /// The input cannot be read, or its bad lines not be written.
    #[error("{file}: {reason}\n{progress}")]
    Stopped {
        /// The file.
        file: String,
        /// Why.
        reason: Stopped,
        /// How far it was stored.
        progress: Progress,
    },
    /// The store refused.
    #[error("{lines} of {file} {}: {source}\n{progress}", if outcome_unknown(source) { "may not be stored" } else { "were not stored" })]
    Refused {
        /// The file.
        file: String,
        /// Which lines.
        lines: LineRanges,
        /// Why.
        source: StoreError,
        /// How far it was stored.
        progress: Progress,
    },
    /// Ctrl+C.
    #[error("interrupted\n{progress}")]
    Interrupted {
        /// How far it was stored.
        progress: Progress,
    },
    /// The ids cannot be printed.
    #[error("the ids cannot be written to standard output: {source}\n{progress}")]
    Unprinted {
        /// Why not.
        source: io::Error,
        /// How far the file was stored.
        progress: Progress,
    },
    /// The reading thread ended without a word.
    #[error("{file}: reading it failed in a way that was not foreseen; please report this\n{progress}")]
    ReaderLost {
        /// The file.
        file: String,
        /// How far it was stored.
        progress: Progress,
    },
}

fn outcome_unknown(error: &StoreError) -> bool {
    matches!(error, StoreError::Backend(backend) if backend.outcome_unknown)
}

/// How far a file was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Entries that this run has stored.
    stored: u64,
    /// All lines up to this one have been dealt with.
    through_line: u64,
    /// Some lines before `through_line` have not been stored.
    has_holes: bool,
    /// A bad line was the reason.
    bad_line: bool,
}

impl fmt::Display for Progress {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stored, through_line, has_holes, bad_line } = *self;
        if stored == 0 {
            text.write_str("Nothing was stored. ")?;
        } else if has_holes {
            write!(text, "Stored: {stored} entries, from all other lines up to {through_line}. ")?;
        } else {
            write!(text, "Stored: {stored} entries, from the lines up to {through_line}. ")?;
        }
        let go_on = match (bad_line, has_holes) {
            (true, _) => "Correct the line, or set bad lines aside with --skip-bad FILE; then go on",
            (false, true) => "Store those lines by themselves; then go on",
            (false, false) => "Go on",
        };
        match through_line {
            0 => write!(text, "{go_on} from the beginning"),
            line => write!(text, "{go_on} with --skip-lines {line}"),
        }
    }
}

/// Numbers of lines, as text: `lines 3, 7 to 9`.
#[derive(Debug)]
pub(crate) struct LineRanges(Vec<u64>);

impl fmt::Display for LineRanges {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lead = if self.0.len() == 1 { "line " } else { "lines " };
        for range in self.0.chunk_by(|line, next| line.saturating_add(1) == *next) {
            match range {
                [line] => write!(text, "{lead}{line}")?,
                [first, .., last] => write!(text, "{lead}{first} to {last}")?,
                [] => {}
            }
            lead = ", ";
        }
        Ok(())
    }
}

/// Stores the lines of a file, telling `stored` the ids of each batch.
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
