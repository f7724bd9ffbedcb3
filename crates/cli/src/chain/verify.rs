//! `ledger chain verify`.

use std::path::{Path, PathBuf};

use clap::Args;
use ledger_chain::TxId;
use ledger_chain::crypto::Certificate;
use ledger_chain::verify::{Checkpoint, Report, Verdict, Verifier};

use ledger_fs::{RealDir, replace};

use super::{PlaceArg, failed, read_file};
use crate::console::Console;
use crate::errors::Failure;

/// Arguments of the command.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    place: PlaceArg,
    /// Certificate of the service that must have signed; without it a home's own certificate counts, and a bare folder vouches for
    /// itself
    #[arg(long, value_name = "FILE")]
    service_cert: Option<PathBuf>,
    /// Position up to which the ledger must be signed: finds what was cut off at the end
    #[arg(long, value_name = "VIEW.SEQNO")]
    expect: Option<TxId>,
    /// Go on from a checkpoint of an earlier verification, instead of from the first entry. Who can write to it can deceive: keep it safe
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// If everything holds, write a checkpoint at the last signature; may be the file of --checkpoint
    #[arg(long, value_name = "FILE")]
    write_checkpoint: Option<PathBuf>,
    /// Also compare every row of the snapshots with what the entries add up to: reads the ledger twice, and holds its state in memory
    #[arg(long)]
    snapshot_rows: bool,
    /// Read .committed chunks only
    #[arg(long)]
    committed: bool,
    /// Threads that hash and check signatures; all processors by default
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &VerifyArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let place = args.place.open()?;
    let mut verifier = Verifier::new().secrets(place.secrets(console)?).committed_only(args.committed);
    let own = place
        .home
        .as_ref()
        .map(|home| home.path().join("keys/service_cert.pem"))
        .filter(|path| path.exists());
    if let Some(path) = args.service_cert.clone().or(own) {
        verifier = verifier.service(Certificate::from_pem(&read_file(&path)?).map_err(failed)?.key().clone());
    }
    if let Some(expect) = args.expect {
        verifier = verifier.expect(expect);
    }
    if let Some(threads) = args.threads {
        verifier = verifier.threads(threads);
    }
    if let Some(path) = &args.checkpoint {
        verifier = verifier.checkpoint(Checkpoint::from_json(&read_file(path)?).map_err(failed)?);
    }
    let (report, checkpoint) = match &place.home {
        Some(home) => verifier.verify_home(home, args.snapshot_rows),
        None => verifier.verify_to_checkpoint(&place.ledger),
    }
    .map_err(failed)?;
    if let (Some(path), Some(checkpoint)) = (&args.write_checkpoint, checkpoint) {
        write_checkpoint(path, &checkpoint)?;
    }
    if args.json {
        writeln!(console.out, "{}", serde_json::to_string(&report).map_err(failed)?)?;
    } else {
        print(&report, console)?;
    }
    match report.verdict {
        Verdict::Verified => Ok(()),
        Verdict::Unsigned => Err(Failure::NotVerified("the ledger holds no signature, nothing is verified")),
        Verdict::Damaged => Err(Failure::NotVerified("the ledger is not what was signed")),
    }
}

/// Replaces the file in one step, so that an interrupted verification leaves the former checkpoint.
fn write_checkpoint(path: &Path, checkpoint: &Checkpoint) -> Result<(), Failure> {
    let (folder, name) = match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => (folder, name),
        _ => return Err(Failure::Arguments(format!("{} names no file", path.display()))),
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let written = RealDir::open(folder)
        .and_then(|folder| replace(&folder, Path::new(name), checkpoint.to_json().as_bytes()));
    written.map_err(|source| Failure::File { action: "write", path: path.to_owned(), source })
}

fn print(report: &Report, console: &mut Console<'_>) -> Result<(), Failure> {
    for problem in &report.problems {
        writeln!(console.out, "problem: {problem}")?;
    }
    for note in &report.notes {
        writeln!(console.out, "note: {note}")?;
    }
    writeln!(
        console.out,
        "{} chunks, {} entries, {} bytes; {} raw and {} COSE signatures hold",
        report.chunks, report.entries, report.bytes, report.raw_signatures, report.cose_signatures
    )?;
    if report.snapshots > 0 {
        writeln!(console.out, "{} snapshots are what the ledger records", report.snapshots)?;
    }
    if let Some(service) = &report.service {
        writeln!(console.out, "service {service}")?;
    }
    if let Some(tail) = &report.unsigned_tail {
        writeln!(console.out, "not signed: {} entries, {} to {}", tail.entries, tail.from, tail.to)?;
    }
    match report.verified_until {
        Some(until) => Ok(writeln!(console.out, "verified until {until}")?),
        None => Ok(writeln!(console.out, "nothing is verified")?),
    }
}
