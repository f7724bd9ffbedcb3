//! `ledger chain verify`.

use std::path::PathBuf;

use clap::Args;
use ledger_chain::TxId;
use ledger_chain::crypto::Certificate;
use ledger_chain::verify::{Report, Verdict, Verifier};

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
    let report = verifier.verify(&place.ledger).map_err(failed)?;
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
