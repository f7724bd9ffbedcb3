//! `ledger buffer send`: file by file to an endpoint, or record by record into a stream.

mod envelope;
mod http;
mod retry;
mod stream;

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use ledger_buffer::{LedgerReader, LedgerStore};

use self::envelope::EnvelopeArgs;
use self::retry::Patience;
use super::{BufferError, FolderArgs, name};
use crate::console::Console;
use crate::errors::Failure;
use crate::settings::Settings;
use crate::stream::StoreArg;

/// Arguments of the command.
#[derive(Args, Debug)]
#[command(override_usage = "ledger buffer send [OPTIONS] <DIR> --url <URL>\n       \
                            ledger buffer send [OPTIONS] <DIR> --to-stream <NAME>")]
pub(crate) struct SendArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// POST each file to this address
    #[arg(long, value_name = "URL", conflicts_with = "to_stream")]
    url: Option<String>,
    /// Append each record to this stream of the daemon, exactly once however often the command is run
    #[arg(long, value_name = "NAME")]
    to_stream: Option<String>,
    /// Keep trying for so many seconds without success before giving up
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    retry_for: u64,
    #[command(flatten, next_help_heading = "HTTP")]
    http: http::HttpArgs,
    #[command(flatten, next_help_heading = "Envelope around the records of a file (HTTP)")]
    envelope: EnvelopeArgs,
    #[command(flatten)]
    store: StoreArg,
}

/// What was sent.
#[derive(Debug, Default)]
struct Sent {
    files: u64,
    records: u64,
    bytes: u64,
    /// Records that had arrived with an earlier run.
    known: u64,
}

pub(super) fn run(args: &SendArgs, settings: &Settings, console: &mut Console<'_>) -> Result<(), Failure> {
    let patience = Patience::new(Duration::from_secs(args.retry_for));
    match (&args.url, &args.to_stream) {
        (Some(url), _) => {
            let mut endpoint = http::Endpoint::new(url, &args.http, args.envelope.content_type(), patience)?;
            let store = args.folder.existing(args.envelope.envelope()?)?;
            let sent = each_fetched(&store, console, |reader| endpoint.send(reader))?;
            Ok(writeln!(
                console.out,
                "sent {} records in {} files ({} bytes)",
                sent.records, sent.files, sent.bytes
            )?)
        }
        (None, Some(name)) => {
            let store = args.folder.existing(super::Envelope::none())?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(Failure::Runtime)?;
            let client = runtime.block_on(settings.client(args.store.name()))?;
            let target = stream::Target::new(client, name.clone(), patience);
            let sent = each_fetched(&store, console, |reader| runtime.block_on(target.send(reader)))?;
            let new = sent.records.saturating_sub(sent.known);
            write!(console.out, "appended {new} records from {} files", sent.files)?;
            if sent.known > 0 {
                write!(console.out, ", {} were there already", sent.known)?;
            }
            Ok(writeln!(console.out)?)
        }
        (None, None) => Err(Failure::Arguments("give --url URL or --to-stream NAME".to_owned())),
    }
}

/// Sends file after file, and removes each as soon as it has arrived. Answers of `send` are bytes and known records.
fn each_fetched(
    store: &LedgerStore,
    console: &mut Console<'_>,
    mut send: impl FnMut(&mut LedgerReader) -> Result<(u64, u64), Failure>,
) -> Result<Sent, Failure> {
    let (bar, mut sent) = (progress(), Sent::default());
    while let Some(fetched) = store.fetch(Some(1), None).map_err(BufferError::Fetch)? {
        for mut reader in fetched.data {
            if let Some(damage) = reader.damage().filter(|damage| !damage.is_torn_tail) {
                let path = reader.path();
                console.note(format_args!("Warning: {} goes to the quarantine: {damage}", name(&path)));
            }
            // A file without a record has nothing to say.
            if reader.record_count() > 0 || reader.is_legacy() {
                let (bytes, known) = send(&mut reader)?;
                sent.files = sent.files.saturating_add(1);
                sent.records = sent.records.saturating_add(reader.record_count());
                sent.bytes = sent.bytes.saturating_add(bytes);
                sent.known = sent.known.saturating_add(known);
            }
        }
        store.remove(&fetched.removable).map_err(BufferError::Remove)?;
        bar.set_position(sent.bytes);
        bar.set_message(format!("{} files", sent.files));
    }
    bar.finish_and_clear();
    Ok(sent)
}

/// Shows how far it is, on a terminal.
fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {bytes} {bytes_per_sec}");
    let bar = ProgressBar::new_spinner();
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
