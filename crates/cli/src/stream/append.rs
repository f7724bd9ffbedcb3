//! `ledger stream append`: one entry, or a file of them.

use std::borrow::Cow;
use std::io::ErrorKind::BrokenPipe;
use std::io::{self, Read};
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use ledger_streams::limits::{MAX_PAYLOAD_BYTES, check_limit};
use ledger_streams::{Append, EntryId, Expect, Store, StoreError};
use serde::de::IgnoredAny;

use super::{StoreCommand, StreamArg, Target};
use crate::console::Console;
use crate::errors::Failure;
use crate::filter::pairs;
use crate::load::{BadLine, ForStream, Input, LoadArgs, LoadFile, load};
use crate::open::Purpose;

/// Arguments of the command.
#[derive(Args, Debug)]
#[command(
    override_usage = "ledger stream append [OPTIONS] <PAYLOAD>\n       ledger stream append [OPTIONS] --input <FILE>"
)]
pub(crate) struct AppendArgs {
    /// The payload; - reads it from standard input, without a line end at its end
    #[arg(value_name = "PAYLOAD")]
    payload: Option<String>,
    #[command(flatten)]
    target: StreamArg,
    /// Store the payload as the JSON that it is, byte for byte, and not as text
    #[arg(long)]
    json: bool,
    /// Ordering key
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    order_key: String,
    /// Deduplication key: a second entry with the same one is not stored, and no id is printed for it
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    dedup_key: String,
    /// Version of the payload's shape
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(i64).range(0..))]
    schema_version: i64,
    /// Metadata; repeatable
    #[arg(long = "meta", value_name = "KEY=VALUE")]
    metadata: Vec<String>,
    /// Tag; repeatable
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Append only if the last entry of the stream has this id
    #[arg(long, value_name = "ID", conflicts_with = "expect_empty")]
    expect_last: Option<String>,
    /// Append only if the stream has no entries
    #[arg(long)]
    expect_empty: bool,
    #[command(flatten, next_help_heading = "Many entries")]
    many: ManyArgs,
}

/// Arguments for appending a file.
#[derive(Args, Debug)]
struct ManyArgs {
    /// Append each line of a file (- for standard input) as an entry: as text, or with --json as JSON
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Print the id of every entry and not how many there were
    #[arg(long)]
    print_ids: bool,
    #[command(flatten)]
    load: LoadArgs,
}

/// What is to be appended.
pub(crate) struct Job {
    /// Where to.
    pub(crate) target: StreamArg,
    expect: Expected,
    what: What,
}

enum What {
    Entry(Append<Bytes>),
    Lines { file: LoadFile, lines: PayloadLines, print_ids: bool },
}

enum Expected {
    Any,
    Empty,
    Last(String),
}

/// Checks the arguments and reads or opens the input.
///
/// # Errors
/// [`Failure`] if they make no sense or the input cannot be had.
pub(crate) fn prepare(args: AppendArgs) -> Result<Job, Failure> {
    let stream = args.target.stream.clone();
    let like = args.entry_without_payload()?;
    let expect = match args.expect_last {
        _ if args.expect_empty => Expected::Empty,
        Some(id) => Expected::Last(id),
        None => Expected::Any,
    };
    let ManyArgs { input, print_ids, load } = args.many;
    let what = match input {
        None if print_ids || !load.is_default() => {
            let text = "--print-ids, --skip-lines and --skip-bad are for --input";
            return Err(Failure::Arguments(text.to_owned()));
        }
        None => What::Entry(Append {
            payload: payload(args.target.store.extra.only(&args.payload)?, args.json)?,
            ..like
        }),
        Some(_) if args.payload.is_some() => {
            return Err(Failure::Arguments("PAYLOAD and --input exclude each other".to_owned()));
        }
        Some(_) if !like.dedup_key.is_empty() => {
            let text = "--dedup-key and --input exclude each other: one key lets one entry in";
            return Err(Failure::Arguments(text.to_owned()));
        }
        Some(path) => {
            let (file, lines) =
                (LoadFile::open(&path, load)?, PayloadLines { stream, json: args.json, like });
            What::Lines { file, lines, print_ids }
        }
    };
    Ok(Job { target: args.target, expect, what })
}

impl AppendArgs {
    fn entry_without_payload(&self) -> Result<Append<Bytes>, Failure> {
        let Self { order_key, dedup_key, schema_version, .. } = self;
        let entry = Append::new(Bytes::new()).schema_version(*schema_version);
        let entry = Append { tags: self.tags.clone(), ..entry.order_key(order_key).dedup_key(dedup_key) };
        let metadata = pairs("metadata", &self.metadata)?.into_iter();
        Ok(metadata.fold(entry, |entry, (key, value)| entry.metadata(key, value)))
    }
}

fn payload(argument: &str, json: bool) -> Result<Bytes, Failure> {
    let given = match argument {
        "-" => Bytes::from(read_standard_input()?),
        text => Bytes::copy_from_slice(text.as_bytes()),
    };
    match encode(&given, json) {
        Ok(payload) => Ok(payload),
        Err(BadLine::NotJson(_)) => {
            let text = "payload is not valid JSON (omit --json to store as plain text)";
            Err(Failure::Arguments(text.to_owned()))
        }
        Err(problem) => Err(Failure::Arguments(format!("payload is {problem}"))),
    }
}

/// All of standard input, without a line end at its end.
fn read_standard_input() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let most = (MAX_PAYLOAD_BYTES as u64).saturating_add(3);
    io::stdin().lock().take(most).read_to_end(&mut bytes).map_err(Failure::Input)?;
    for end in [b'\n', b'\r'] {
        if bytes.last() == Some(&end) {
            bytes.pop();
        } else {
            break;
        }
    }
    check_limit("size of the payload in bytes", bytes.len(), MAX_PAYLOAD_BYTES).map_err(StoreError::from)?;
    Ok(bytes)
}

/// The payload that a text stands for.
fn encode(text: &Bytes, json: bool) -> Result<Bytes, BadLine> {
    let valid = std::str::from_utf8(text)?;
    if json {
        serde_json::from_str::<IgnoredAny>(valid)?;
        Ok(text.clone())
    } else {
        Ok(serde_json::to_vec(valid)?.into())
    }
}

/// Lines that are payloads.
struct PayloadLines {
    stream: String,
    json: bool,
    like: Append<Bytes>,
}

impl Input for PayloadLines {
    fn max_line_bytes(&self) -> usize {
        MAX_PAYLOAD_BYTES
    }

    fn parse<'l>(&'l self, line: &'l Bytes) -> Result<Option<ForStream<'l>>, BadLine> {
        if self.json && line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let entry = Append { payload: encode(line, self.json)?, ..self.like.clone() };
        Ok(Some((Cow::Borrowed(&self.stream), entry)))
    }
}

impl StoreCommand for Job {
    const PURPOSE: Purpose = Purpose::Create;

    fn target(&self) -> Target<'_> {
        (&self.target).into()
    }

    /// Appends, and prints ids or how many entries there were.
    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let expect = match self.expect {
            Expected::Any => Expect::Any,
            Expected::Empty => Expect::Empty,
            Expected::Last(id) => Expect::LastId(S::Id::parse(&id)?),
        };
        match self.what {
            What::Entry(entry) => {
                let appended = store.append(&self.target.stream, vec![entry], expect).await?;
                Ok(print_ids(&appended.ids, console)?)
            }
            What::Lines { file, lines, print_ids: true } => {
                let mut reader_is_gone = false;
                let on_stored = |ids: &[S::Id], console: &mut Console<'_>| {
                    let printed = if reader_is_gone { Ok(()) } else { print_ids(ids, console) };
                    // The entries matter more than whoever reads their ids.
                    reader_is_gone |= printed.as_ref().is_err_and(|error| error.kind() == BrokenPipe);
                    if reader_is_gone { Ok(()) } else { printed }
                };
                load(store, file, lines, expect, console, on_stored).await.map(drop)
            }
            What::Lines { file, lines, print_ids: false } => {
                let loaded = load(store, file, lines, expect, console, |_, _| Ok(())).await?;
                Ok(writeln!(console.out, "appended {loaded}")?)
            }
        }
    }
}

fn print_ids<Id: EntryId>(ids: &[Id], console: &mut Console<'_>) -> io::Result<()> {
    for id in ids {
        writeln!(console.out, "{id}")?;
    }
    console.out.flush()
}
