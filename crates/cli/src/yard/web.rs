//! `ledger yard web`: the console in the browser, and the proxy in front of the services.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use ledger_console::{BASE, Console as WebConsole, Key, Options};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::YardFailure;
use crate::console::Console;
use crate::errors::Failure;

/// Traces that wait to be printed; more are dropped.
const MAX_TRACES: usize = 1024;

/// Arguments of `yard web`.
#[derive(Args, Debug)]
pub(crate) struct WebArgs {
    /// Name or address to listen on; one that other machines can reach needs a key
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    host: String,
    /// Port; 0 takes one that is free
    #[arg(long, value_name = "PORT", default_value_t = 8787)]
    port: u16,
    /// Folder of the ledger; it need not be there yet
    #[arg(
        long = "ledger-dir",
        visible_alias = "ledger-home",
        value_name = "DIR",
        default_value = "./ledger.d"
    )]
    ledger_home: PathBuf,
    /// Show the console alone: no path leads to a service
    #[arg(long)]
    no_proxy: bool,
    /// How old the list of processes may get when no file has changed, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(100..))]
    refresh_ms: u64,
    /// File with the key that opens the console, mode 0600 [or the key itself in LEDGER_YARD_KEY]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Listen where other machines reach it, without a key
    #[arg(long)]
    allow_insecure: bool,
    /// Accepted for the sake of old scripts: the page is part of this program
    #[arg(long, value_name = "DIR", hide = true)]
    assets_dir: Option<PathBuf>,
}

pub(super) fn run(args: &WebArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    if args.assets_dir.is_some() {
        console.note("Warning: --assets-dir has no effect: the page is part of this program");
    }
    let (sender, mut traces) = mpsc::channel::<String>(MAX_TRACES);
    let options = Options {
        ledger_home: args.ledger_home.clone(),
        host: args.host.clone(),
        port: args.port,
        proxy: !args.no_proxy,
        refresh: Duration::from_millis(args.refresh_ms),
        key: key(args).map_err(YardFailure::from)?,
        allow_insecure: args.allow_insecure,
        trace: Arc::new(move |line| {
            // Traces that nobody takes are not worth waiting for.
            let _ = sender.try_send(line.to_owned());
        }),
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Runtime)?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = signals().map_err(Failure::Runtime)?;
        let web = WebConsole::bind(options).await.map_err(YardFailure::from)?;
        announce(&web, args, console)?;
        let end = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        let mut running = std::pin::pin!(web.run(end));
        loop {
            tokio::select! {
                () = &mut running => return Ok(()),
                Some(line) = traces.recv() => {
                    // The console goes on when nobody reads its standard output any more.
                    let _ = writeln!(console.out, "{line}").and_then(|()| console.out.flush());
                }
            }
        }
    })
}

fn key(args: &WebArgs) -> Result<Option<Key>, ledger_console::KeyError> {
    match (&args.key_file, std::env::var("LEDGER_YARD_KEY")) {
        (Some(path), _) => Key::from_file(path).map(Some),
        (None, Ok(text)) if !text.is_empty() => Key::new(&text).map(Some),
        (None, _) => Ok(None),
    }
}

fn signals() -> std::io::Result<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)> {
    Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
}

/// The five lines of the original.
fn announce(web: &WebConsole, args: &WebArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let (url, out) = (web.url(), &mut console.out);
    writeln!(out, "Yard web-ui listening on {url}")?;
    writeln!(out, "UI:     {}", web.page())?;
    writeln!(out, "Assets: {url}{BASE}/asset/")?;
    writeln!(out, "API:    {url}{BASE}/api/")?;
    writeln!(out, "Ledger: {url}{BASE}/ledger.d/ ({})", args.ledger_home.display())?;
    out.flush()?;
    if args.allow_insecure && !web.address().ip().is_loopback() {
        console.note("Warning: everybody who reaches this address can see the console and use the services");
    }
    Ok(())
}
