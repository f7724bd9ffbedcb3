//! From lines to batches: a thread that reads and parses ahead of the store, within bounds.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::slice;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use bytes::Bytes;
use indexmap::IndexMap;
use ledger_streams::limits::check_batch;
use ledger_streams::{Append, StoreError};
use tokio::sync::mpsc;

use super::lines::{Lines, Next};

/// Entries in a batch.
const BATCH_ENTRIES: usize = 1000;
/// Bytes of lines in a batch, if a single line is not longer.
const BATCH_BYTES: usize = 1 << 20;
/// Bytes of lines that are read ahead, if a single line is not longer.
const AHEAD_BYTES: usize = 4 << 20;
/// Batches that are read ahead.
const AHEAD_BATCHES: usize = 16;
/// A line of which this much is held is read on only once everything before it is stored.
const LONG_LINE_BYTES: usize = 4 << 20;
/// How many bad lines are told one by one.
const BAD_LINES_TOLD: usize = 10;

/// An entry and the stream it goes to.
pub(crate) type ForStream<'l> = (Cow<'l, str>, Append<Bytes>);

/// What the lines of an input mean.
pub(crate) trait Input: Send + 'static {
    /// Longest line that can mean an entry.
    fn max_line_bytes(&self) -> usize;

    /// The entry of a line and the stream it goes to; `None` for a line without meaning.
    ///
    /// # Errors
    /// [`BadLine`].
    fn parse<'l>(&'l self, line: &'l Bytes) -> Result<Option<ForStream<'l>>, BadLine>;
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadLine {
    /// It is not text.
    #[error("not valid UTF-8 at byte {}", .0.valid_up_to())]
    NotUtf8(#[from] std::str::Utf8Error),
    /// It is not the JSON that is expected here.
    #[error("{}", json_problem(.0))]
    NotJson(#[from] serde_json::Error),
    /// It is some other JSON, or none.
    #[error("not an entry: it does not begin with {{")]
    NoObject,
    /// It has no payload.
    #[error("there is neither `payload` nor `payload_base64`")]
    NoPayload,
    /// It has two payloads.
    #[error("there are both `payload` and `payload_base64`")]
    TwoPayloads,
    /// It does not say to which stream it belongs.
    #[error("there is no `stream`; name one with --stream")]
    NoStream,
    /// The payload is not base64.
    #[error("`payload_base64` is not padded standard base64: {0}")]
    NotBase64(#[from] base64::DecodeError),
    /// No store takes it.
    #[error(transparent)]
    OutOfBounds(#[from] StoreError),
    /// It is longer than any entry.
    #[error("it is longer than {max_line_bytes} bytes, which no entry can be")]
    TooLong {
        /// The bound.
        max_line_bytes: usize,
    },
}

/// What the parser said, without its own count of lines, which is always 1.
fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let problem = text.strip_suffix(&place).unwrap_or(&text);
    let what = if error.is_data() { "not an entry" } else { "not valid JSON" };
    format!("{what}: {problem} (column {})", error.column())
}

/// Entries that are stored together.
#[derive(Default)]
pub(crate) struct Batch {
    /// The entries, by stream.
    pub(crate) groups: IndexMap<String, Group>,
    /// Number of the last line before the next batch.
    pub(crate) last_line: u64,
    /// Bytes of the input up to there.
    pub(crate) consumed_bytes: u64,
    entries: usize,
    bytes: usize,
    reserved: Option<Reserved>,
}

/// The entries of a batch that go to one stream.
#[derive(Default)]
pub(crate) struct Group {
    /// Numbers of the lines, from 1.
    pub(crate) lines: Vec<u64>,
    /// Their entries.
    pub(crate) entries: Vec<Append<Bytes>>,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.entries >= BATCH_ENTRIES || self.bytes >= BATCH_BYTES
    }

    fn push(&mut self, stream: &str, line: u64, line_bytes: usize, entry: Append<Bytes>) {
        self.entries = self.entries.saturating_add(1);
        self.bytes = self.bytes.saturating_add(line_bytes);
        match self.groups.get_mut(stream) {
            Some(group) => {
                group.lines.push(line);
                group.entries.push(entry);
            }
            None => {
                self.groups.insert(stream.to_owned(), Group { lines: vec![line], entries: vec![entry] });
            }
        }
    }

    /// Whether another batch can be taken in.
    pub(crate) fn has_room_for(&self, next: &Batch) -> bool {
        self.entries.saturating_add(next.entries) <= BATCH_ENTRIES
            && self.bytes.saturating_add(next.bytes) <= BATCH_BYTES
    }

    /// Takes in the batch that follows.
    pub(crate) fn take_in(&mut self, next: Batch) {
        for (stream, group) in next.groups {
            let own = self.groups.entry(stream).or_default();
            own.lines.extend(group.lines);
            own.entries.extend(group.entries);
        }
        self.entries = self.entries.saturating_add(next.entries);
        self.bytes = self.bytes.saturating_add(next.bytes);
        (self.last_line, self.consumed_bytes) = (next.last_line, next.consumed_bytes);
        if let (Some(own), Some(mut other)) = (&mut self.reserved, next.reserved) {
            own.bytes = own.bytes.saturating_add(std::mem::take(&mut other.bytes));
        }
    }
}

/// How the lines of an input are to be treated.
pub(crate) struct Plan {
    /// Where the bytes come from.
    pub(crate) source: Box<dyn Read + Send>,
    /// Whether they come as they arise: then a line is not kept waiting for others.
    pub(crate) is_live: bool,
    /// How many lines at the beginning are to be passed over.
    pub(crate) skip_lines: u64,
    /// Where bad lines are set aside; without it the first one ends everything.
    pub(crate) bad_lines: Option<File>,
}

/// What the thread hands over.
pub(crate) enum Message {
    /// Entries to be stored.
    Batch(Batch),
    /// There are no more.
    End(Result<Ending, Stopped>),
}

/// What there was at the end of the input.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// How many lines were set aside.
    pub(crate) bad_lines: u64,
    /// The first of them, and what is wrong with them.
    pub(crate) told: Vec<String>,
}

/// Why the input was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stopped {
    /// A line means nothing.
    #[error("line {line}: {problem}")]
    BadLine {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        problem: BadLine,
    },
    /// The input cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// Bad lines cannot be set aside.
    #[error("its bad lines cannot be set aside: {0}")]
    CannotSetAside(io::Error),
}

/// Starts a thread that reads an input.
///
/// # Errors
/// If there can be no more threads.
pub(crate) fn start(input: impl Input, plan: Plan) -> io::Result<mpsc::Receiver<Message>> {
    let (sender, receiver) = mpsc::channel(AHEAD_BATCHES);
    let lines = Lines::new(plan.source, input.max_line_bytes());
    let mut reader = Reader {
        input,
        lines,
        is_live: plan.is_live,
        skip_lines: plan.skip_lines,
        aside: plan.bad_lines.map(BufWriter::new),
        sender,
        ahead: Arc::default(),
        line: 0,
        batch: Batch::default(),
        ending: Ending::default(),
    };
    thread::Builder::new().name("read-ahead".to_owned()).spawn(move || {
        let ended = reader.run();
        // If nobody takes it, the store has failed, and that is what is told.
        let _ = reader.sender.blocking_send(Message::End(ended.map(|()| reader.ending)));
    })?;
    Ok(receiver)
}

/// The thread that reads ahead.
struct Reader<I> {
    input: I,
    lines: Lines<Box<dyn Read + Send>>,
    is_live: bool,
    skip_lines: u64,
    aside: Option<BufWriter<File>>,
    sender: mpsc::Sender<Message>,
    ahead: Arc<Ahead>,
    /// Number of the line that was read last.
    line: u64,
    batch: Batch,
    ending: Ending,
}

impl<I: Input> Reader<I> {
    fn run(&mut self) -> Result<(), Stopped> {
        loop {
            self.wait_for_line()?;
            let next = self.lines.next().map_err(Stopped::Unreadable)?;
            if next == Next::End {
                break;
            }
            self.line = self.line.saturating_add(1);
            self.take(next)?;
            if self.batch.is_full() && !self.hand_over() {
                return Ok(());
            }
        }
        self.hand_over();
        self.flush_aside()
    }

    /// Reads until the next line is at hand, and hands over what there is before waiting for something to come.
    fn wait_for_line(&mut self) -> Result<(), Stopped> {
        let mut is_long = false;
        loop {
            if self.is_live && !self.lines.is_ready() {
                self.hand_over();
            }
            if self.lines.fill().map_err(Stopped::Unreadable)? {
                return Ok(());
            }
            if !is_long && self.lines.held_bytes() > LONG_LINE_BYTES {
                is_long = true;
                self.hand_over();
                self.ahead.wait_until_nothing();
            }
        }
    }

    fn take(&mut self, next: Next) -> Result<(), Stopped> {
        let is_skipped = self.line <= self.skip_lines;
        match next {
            Next::Line(_) if is_skipped => Ok(()),
            Next::Line(line) => match self.parse(&line) {
                Ok(()) => Ok(()),
                Err(problem) => self.set_aside(problem, |aside, _| {
                    aside.write_all(&line)?;
                    aside.write_all(b"\n")
                }),
            },
            Next::TooLong if is_skipped => self.lines.skip_rest(&mut io::sink()).map_err(Stopped::Unreadable),
            Next::TooLong => {
                let problem = BadLine::TooLong { max_line_bytes: self.input.max_line_bytes() };
                self.set_aside(problem, |aside, lines| lines.skip_rest(aside))
            }
            Next::End => Ok(()),
        }
    }

    fn parse(&mut self, line: &Bytes) -> Result<(), BadLine> {
        if let Some((stream, entry)) = self.input.parse(line)? {
            check_batch(&stream, slice::from_ref(&entry))?;
            self.batch.push(&stream, self.line, line.len(), entry);
        }
        Ok(())
    }

    fn set_aside(
        &mut self,
        problem: BadLine,
        copy: impl FnOnce(&mut dyn Write, &mut Lines<Box<dyn Read + Send>>) -> io::Result<()>,
    ) -> Result<(), Stopped> {
        let line = self.line;
        let Some(aside) = &mut self.aside else { return Err(Stopped::BadLine { line, problem }) };
        copy(aside, &mut self.lines).map_err(Stopped::CannotSetAside)?;
        self.ending.bad_lines = self.ending.bad_lines.saturating_add(1);
        if self.ending.told.len() < BAD_LINES_TOLD {
            self.ending.told.push(format!("line {line}: {problem}"));
        }
        Ok(())
    }

    fn flush_aside(&mut self) -> Result<(), Stopped> {
        self.aside.as_mut().map_or(Ok(()), BufWriter::flush).map_err(Stopped::CannotSetAside)
    }

    /// Hands the batch over, waiting for room; `false` if nobody takes it any more.
    fn hand_over(&mut self) -> bool {
        let mut batch = std::mem::take(&mut self.batch);
        if batch.entries == 0 {
            return true;
        }
        (batch.last_line, batch.consumed_bytes) = (self.line, self.lines.consumed_bytes());
        batch.reserved = Some(self.ahead.reserve(batch.bytes));
        self.sender.blocking_send(Message::Batch(batch)).is_ok()
    }
}

/// How many bytes are read ahead.
#[derive(Default)]
struct Ahead {
    bytes: Mutex<usize>,
    changed: Condvar,
}

/// Bytes that count as read ahead until this is dropped.
struct Reserved {
    ahead: Arc<Ahead>,
    bytes: usize,
}

impl Ahead {
    /// Waits until there is room. Whatever is too large for any room gets all of it.
    fn reserve(self: &Arc<Self>, bytes: usize) -> Reserved {
        let mut ahead = self.lock();
        while *ahead > 0 && ahead.saturating_add(bytes) > AHEAD_BYTES {
            ahead = self.changed.wait(ahead).unwrap_or_else(PoisonError::into_inner);
        }
        *ahead = ahead.saturating_add(bytes);
        Reserved { ahead: self.clone(), bytes }
    }

    fn wait_until_nothing(&self) {
        let mut ahead = self.lock();
        while *ahead > 0 {
            ahead = self.changed.wait(ahead).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut ahead = self.ahead.lock();
        *ahead = ahead.saturating_sub(self.bytes);
        self.ahead.changed.notify_all();
    }
}
