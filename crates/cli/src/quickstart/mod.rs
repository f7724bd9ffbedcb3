//! `ledger quickstart`: everything a store does, once, on a fresh database and real-looking events; then a daemon that
//! serves them, in this process.
//!
//! Everything that is made is in one temporary folder, which is removed at the end, whatever the end is: only SIGKILL
//! leaves it behind. A database that was named with `--db` stays.

mod served;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ledger_sqlite::{Database, SqliteStore, StreamNames};
use ledger_streams::{AnnotationChanges, Append, DEFAULT_STORE_NAME, Expect, Position, Read, Stream};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::console::Console;
use crate::errors::Failure;

/// The events that are appended when no file is named.
const SAMPLE: &str = include_str!("../../../../samples/events.jsonl");
/// Stream that the events go to.
const STREAM: &str = "events";
/// Entries of one append.
const BATCH_ENTRIES: usize = 1000;
/// Bytes of one append.
const BATCH_BYTES: usize = 1 << 20;
/// Widest payload that is shown.
const SHOWN_CHARACTERS: usize = 100;

/// Tour a fresh store: append, read, filter, tag, search and follow; then start a daemon that serves it
#[derive(clap::Args, Debug)]
pub(crate) struct QuickstartArgs {
    /// JSON Lines file, one JSON value per line (default: a built-in sample of shop events)
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// End after the tour and remove what it has made, instead of serving until Ctrl+C
    #[arg(long)]
    exit: bool,
}

/// One event: any JSON value, kept as it is.
type Event = Box<RawValue>;
type Events<'s> = Stream<Event, &'s SqliteStore>;

/// Runs the tour on the database file, which must not exist yet; without one, on a new file.
pub(crate) async fn run(
    args: &QuickstartArgs,
    database: Option<&Path>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    // Before anything is made that somebody would have to remove.
    let mut interruptions = Interruptions::listen().map_err(Failure::Runtime)?;
    let folder = tempfile::Builder::new().prefix("ledger-quickstart-").tempdir();
    let folder = folder.map_err(|error| cannot_write(&std::env::temp_dir(), error))?;
    let path = fresh_file(database, folder.path())?;
    let words = {
        let database = Database::open(&path).connect().await?;
        let words = interruptions.end(tour(args, &database, &path, console)).await;
        database.close().await;
        words?
    };
    served::show(&path, folder.path(), &words, args.exit, &mut interruptions, console).await?;
    let place = folder.path().to_owned();
    folder.close().map_err(|error| cannot_write(&place, error))
}

/// Ctrl+C, a polite kill, and the end of the terminal.
struct Interruptions([Signal; 3]);

impl Interruptions {
    fn listen() -> std::io::Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    /// Waits for the next one.
    async fn next(&mut self) {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }

    /// Does something until it is done or interrupted.
    async fn end<T>(&mut self, what: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.next() => Err(Failure::Interrupted),
            done = what => done,
        }
    }
}

/// Words that lead to entries.
struct Words {
    /// The rarest tag.
    tag: String,
    /// A word of the newest event.
    text: String,
}

async fn tour(
    args: &QuickstartArgs,
    database: &Database,
    path: &Path,
    console: &mut Console<'_>,
) -> Result<Words, Failure> {
    writeln!(console.out, "Ledger quickstart\n\nstore    {}", path.display())?;
    let store = database.store(DEFAULT_STORE_NAME).stream_names(StreamNames::Mapped).open().await?;
    let events: Events<'_> = Stream::json(&store, STREAM);
    let tags = append(&events, args, console).await?;
    read(&events, console).await?;
    let tag = tags.into_iter().min_by_key(|(_, count)| *count).map(|(tag, _)| tag).unwrap_or_default();
    filter_and_mark(&events, &tag, console).await?;
    let text = search(&events, console).await?;
    follow(&events, console).await?;
    Ok(Words { tag, text })
}

/// A path for a new database: the one that was asked for, or one in the folder.
fn fresh_file(asked: Option<&Path>, folder: &Path) -> Result<PathBuf, Failure> {
    match asked {
        Some(path) if path.exists() => Err(Failure::Arguments(format!(
            "the quickstart makes a fresh database, and {} exists: name another with --db, or leave --db out",
            path.display()
        ))),
        Some(path) => Ok(path.to_owned()),
        None => Ok(folder.join("quickstart.db")),
    }
}

fn cannot_write(path: &Path, source: std::io::Error) -> Failure {
    Failure::File { action: "write", path: path.to_owned(), source }
}

/// Appends every line; answers how often each tag was given.
async fn append(
    events: &Events<'_>,
    args: &QuickstartArgs,
    console: &mut Console<'_>,
) -> Result<BTreeMap<String, usize>, Failure> {
    let (name, lines) = input(args)?;
    let mut tags = BTreeMap::new();
    let (mut appended, mut took) = (0_usize, Duration::ZERO);
    let mut batch = Batch::default();
    for (index, line) in lines.lines().enumerate() {
        let bad = |error: &dyn std::error::Error| {
            Failure::Arguments(format!("line {} of {name} is not JSON: {error}", index.saturating_add(1)))
        };
        let line = line.map_err(|error| bad(&error))?;
        if line.trim().is_empty() {
            continue;
        }
        let entry = entry(&line).map_err(|error| bad(&error))?;
        for tag in &entry.tags {
            *tags.entry(tag.clone()).or_insert(0) += 1;
        }
        batch.bytes = batch.bytes.saturating_add(line.len());
        batch.entries.push(entry);
        if batch.is_full() {
            appended = appended.saturating_add(store(events, &mut batch, &mut took).await?);
        }
    }
    appended = appended.saturating_add(store(events, &mut batch, &mut took).await?);
    if appended == 0 {
        return Err(Failure::Arguments(format!("{name} has no lines; there is nothing to show")));
    }
    writeln!(
        console.out,
        "append   {appended} events from {name} to stream {STREAM:?} in {:.1} ms, synced to disk",
        milliseconds(took)
    )?;
    Ok(tags)
}

/// Entries that are appended together.
#[derive(Default)]
struct Batch {
    entries: Vec<Append<Event>>,
    bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.entries.len() >= BATCH_ENTRIES || self.bytes >= BATCH_BYTES
    }
}

async fn store(events: &Events<'_>, batch: &mut Batch, took: &mut Duration) -> Result<usize, Failure> {
    let started = Instant::now();
    let appended = events.append(std::mem::take(batch).entries).await?.len();
    *took = took.saturating_add(started.elapsed());
    Ok(appended)
}

fn input(args: &QuickstartArgs) -> Result<(String, Box<dyn BufRead>), Failure> {
    match &args.input {
        None => Ok(("the built-in sample".to_owned(), Box::new(SAMPLE.as_bytes()))),
        Some(path) => {
            let failed = |source| Failure::File { action: "read", path: path.clone(), source };
            let file = std::fs::File::open(path).map_err(failed)?;
            Ok((path.display().to_string(), Box::new(BufReader::new(file))))
        }
    }
}

/// What events of many programs have in common, where they have it.
#[derive(Deserialize)]
struct Common<'l> {
    #[serde(borrow, alias = "event", alias = "level", alias = "kind")]
    r#type: Option<Cow<'l, str>>,
    #[serde(borrow, alias = "user_id", alias = "customer", alias = "host")]
    user: Option<Cow<'l, str>>,
}

/// An entry of one line: its kind becomes the tag, its user the ordering key.
fn entry(line: &str) -> Result<Append<Event>, serde_json::Error> {
    let mut entry = Append::new(RawValue::from_string(line.trim().to_owned())?);
    // Values without these fields are fine as they are.
    if let Ok(Common { r#type, user }) = serde_json::from_str(line) {
        entry.tags.extend(r#type.map(Cow::into_owned));
        entry.order_key = user.unwrap_or_default().into_owned();
    }
    Ok(entry)
}

async fn read(events: &Events<'_>, console: &mut Console<'_>) -> Result<(), Failure> {
    writeln!(console.out, "read     the first three of {}:", events.count().await?)?;
    for entry in events.read(Read::new().limit(3)).await? {
        writeln!(console.out, "           {:>4}  {}", entry.id, shortened(entry.payload.get()))?;
    }
    Ok(())
}

/// Finds the entries with a tag, and marks the newest of them.
async fn filter_and_mark(events: &Events<'_>, tag: &str, console: &mut Console<'_>) -> Result<(), Failure> {
    let newest = events.read(Read::new().tag(tag).descending().limit(2)).await?;
    writeln!(console.out, "filter   the newest with tag {tag:?}:")?;
    for entry in &newest {
        writeln!(console.out, "           {:>4}  {}", entry.id, shortened(entry.payload.get()))?;
    }
    let Some(entry) = newest.first() else { return Ok(()) };
    events.set_tags(&entry.id, entry.tags.iter().map(String::as_str).chain(["reviewed"])).await?;
    events.set_annotations(&entry.id, AnnotationChanges::new().set("reviewed_by", "quickstart")).await?;
    let marked = events.read(Read::new().tag("reviewed").annotation("reviewed_by", "quickstart")).await?;
    for entry in &marked {
        writeln!(
            console.out,
            "tag      entry {}: tags {:?}, annotations {:?}",
            entry.id, entry.tags, entry.annotations
        )?;
    }
    Ok(())
}

/// Searches for a word of the last entry; answers it.
async fn search(events: &Events<'_>, console: &mut Console<'_>) -> Result<String, Failure> {
    let last = events.read(Read::new().descending().limit(1)).await?;
    let word = last.first().map(|entry| longest_word(entry.payload.get())).unwrap_or_default().to_owned();
    let started = Instant::now();
    let found = events.search(&word, Read::new().limit(1000)).await?;
    writeln!(
        console.out,
        "search   {word:?}: {} entries in {:.1} ms",
        found.len(),
        milliseconds(started.elapsed())
    )?;
    Ok(word)
}

/// Appends an event while a subscriber waits for it; then again, as a client does that missed the answer.
async fn follow(events: &Events<'_>, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut live = events.subscribe(Position::Now).await?;
    let hello = || -> Result<_, Failure> {
        let payload = RawValue::from_string(r#"{"type":"quickstart","text":"hello, live"}"#.to_owned());
        let payload = payload.map_err(|error| Failure::Arguments(error.to_string()))?;
        Ok(Append::new(payload).dedup_key("quickstart-hello"))
    };
    let appended = events.append_expecting(Expect::Any, [hello()?]).await?;
    let committed = Instant::now();
    if let Some(entry) = live.next_entry().await? {
        writeln!(
            console.out,
            "follow   entry {} came {:.2} ms after its commit: {}",
            entry.id,
            milliseconds(committed.elapsed()),
            entry.payload.get()
        )?;
    }
    let retried = events.append([hello()?]).await?;
    let holder = retried.duplicates.first().map(|duplicate| duplicate.id);
    if holder.is_some() && holder == appended.first().copied() {
        let text =
            "the same append again, with its dedup key: nothing was written, the answer is the same entry";
        writeln!(console.out, "retry    {text}")?;
    }
    Ok(())
}

fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or(text))),
        None => Cow::Borrowed(text),
    }
}

fn longest_word(text: &str) -> &str {
    text.split(|character: char| !character.is_alphabetic()).max_by_key(|word| word.len()).unwrap_or_default()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
