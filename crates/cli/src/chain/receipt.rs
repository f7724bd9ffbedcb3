//! `ledger chain receipt|verify-receipt`.

use std::path::PathBuf;

use clap::Args;
use ledger_chain::TxId;
use ledger_chain::crypto::Certificate;
use ledger_chain::maps::Maps;
use ledger_chain::receipt::{
    CoseReceipt, Endorsed, Proved, Receipt, ReceiptError, Receipts, endorsements_of,
};
use ledger_chain::store::Reader;

use super::show::hex;
use super::{Place, PlaceArg, failed, read_file};
use crate::console::Console;
use crate::errors::Failure;

/// Arguments of `receipt`.
#[derive(Args, Debug)]
pub(crate) struct ReceiptArgs {
    #[command(flatten)]
    place: PlaceArg,
    /// Position of the entry
    #[arg(value_name = "VIEW.SEQNO")]
    txid: TxId,
    /// Write a COSE receipt (binary) and not JSON
    #[arg(long)]
    cose: bool,
    /// Write to a file and not to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Arguments of `verify-receipt`.
#[derive(Args, Debug)]
pub(crate) struct VerifyReceiptArgs {
    /// Certificate of the service
    #[arg(long, value_name = "FILE")]
    service_cert: PathBuf,
    /// The entry of which the receipt must be
    #[arg(long, value_name = "VIEW.SEQNO")]
    txid: Option<TxId>,
    /// The digest (hex) of the claims that it must prove
    #[arg(long, value_name = "HEX")]
    claims_digest: Option<String>,
    /// The receipt, JSON or COSE
    #[arg(value_name = "FILE")]
    receipt: PathBuf,
}

pub(super) fn make(args: &ReceiptArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let place = args.place.open()?;
    let (reader, secrets) = (place.reader()?, place.secrets(console)?);
    let endorsements = endorsements(&place)?;
    let receipts = Receipts::new(&reader, &secrets).endorsements(&endorsements);
    let bytes = match args.cose {
        true => receipts.cose(args.txid.seqno).map_err(failed)?,
        false => {
            let mut text = receipts.json(args.txid.seqno).map_err(failed)?.to_json();
            text.push('\n');
            text.into_bytes()
        }
    };
    check_view(&reader, args.txid)?;
    match &args.output {
        None => Ok(console.out.write_all(&bytes)?),
        Some(path) => std::fs::write(path, &bytes).map_err(|source| Failure::File {
            action: "write",
            path: path.clone(),
            source,
        }),
    }
}

/// Endorsements of services of before a recovery.
fn endorsements(place: &Place) -> Result<Vec<Endorsed>, Failure> {
    match &place.home {
        Some(home) => endorsements_of(&Maps::open(home).map_err(failed)?).map_err(failed),
        None => Ok(Vec::new()),
    }
}

/// The entry with this number has this view, and not another one after a rollback.
fn check_view(reader: &Reader, txid: TxId) -> Result<(), Failure> {
    let bytes = reader.read(txid.seqno).map_err(failed)?;
    let (entry, _) = ledger_chain::format::Entry::parse(&bytes).map_err(failed)?;
    if entry.txid() == txid {
        return Ok(());
    }
    Err(Failure::Arguments(format!("there is no entry {txid}; number {} is {}", txid.seqno, entry.txid())))
}

pub(super) fn verify(args: &VerifyReceiptArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let service = Certificate::from_pem(&read_file(&args.service_cert)?).map_err(failed)?;
    let bytes = read_file(&args.receipt)?;
    // JSON begins with a brace, COSE with its tag.
    let proved: Result<Proved, ReceiptError> = match bytes.trim_ascii_start().first() {
        Some(b'{') => Receipt::from_json(&bytes).and_then(|receipt| receipt.verify(service.key())),
        _ => CoseReceipt::parse(&bytes).and_then(|receipt| receipt.verify(service.key())),
    };
    let proved = proved.map_err(failed)?;
    if args.txid.is_some_and(|txid| txid != proved.txid) {
        return Err(Failure::Arguments(format!("the receipt is valid, but of entry {}", proved.txid)));
    }
    let claims = hex(&proved.claims_digest);
    if args.claims_digest.as_ref().is_some_and(|wanted| !wanted.eq_ignore_ascii_case(&claims)) {
        return Err(Failure::Arguments(format!("the receipt is valid, but proves the claims {claims}")));
    }
    writeln!(console.out, "valid: entry {} is in the ledger", proved.txid)?;
    writeln!(console.out, "write-set digest {}", hex(&proved.write_set_digest))?;
    Ok(writeln!(console.out, "claims digest {claims}")?)
}
