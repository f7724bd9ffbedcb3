//! How entries are printed.

use std::rc::Rc;

use clap::Args;
use ledger_chain::format::{Entry, Maps, PublicDomain};
use ledger_chain::jsonl::{EntryLine, WriteLine};
use ledger_chain::verify::Secrets;
use ledger_chain::{EntryKind, WriteSet, print};
use regex_automata::{Anchored, Input, meta::Regex};

use super::{Place, failed};
use crate::console::Console;
use crate::errors::Failure;

/// Flags of the commands that print entries.
#[derive(Args, Debug)]
pub(super) struct ShowArgs {
    /// Print a JSON object per entry; private maps too, if the ledger's secrets are there
    #[arg(long)]
    json: bool,
    /// Print only the maps whose name begins with what this regular expression matches, and entries that write to one
    #[arg(short, long, value_name = "REGEX")]
    tables: Option<String>,
}

/// Prints entries.
pub(super) struct Show<'a> {
    json: bool,
    tables: Option<Rc<Regex>>,
    place: &'a Place,
    secrets: Secrets,
}

impl<'a> Show<'a> {
    pub(super) fn new(args: &ShowArgs, place: &'a Place, console: &mut Console<'_>) -> Result<Self, Failure> {
        let tables = args.tables.as_deref().map(Regex::new).transpose();
        let tables = tables.map_err(|error| {
            let reason = error.syntax_error().map_or_else(|| error.to_string(), ToString::to_string);
            Failure::Arguments(format!("--tables: {reason}"))
        })?;
        // Text shows the sizes of private domains only.
        let secrets = if args.json { place.secrets(console)? } else { Secrets::none() };
        Ok(Self { json: args.json, tables: tables.map(Rc::new), place, secrets })
    }

    pub(super) fn print(&mut self, entry: &Entry<'_>, console: &mut Console<'_>) -> Result<(), Failure> {
        let tables = self.tables.clone();
        let wanted =
            tables.map(|regex| move |map: &str| regex.is_match(Input::new(map).anchored(Anchored::Yes)));
        let wanted = wanted.as_ref().map(|wanted| wanted as &dyn Fn(&str) -> bool);
        if self.json {
            return self.print_json(entry, wanted, console);
        }
        Ok(console.out.write_all(print::tables(entry, wanted).map_err(failed)?.as_bytes())?)
    }

    fn print_json(
        &mut self,
        entry: &Entry<'_>,
        wanted: Option<&dyn Fn(&str) -> bool>,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let domain = PublicDomain::parse(entry.public).map_err(failed)?;
        let writes = self.writes(entry, console)?;
        let mut lines = WriteLine::all(&writes);
        if let Some(wanted) = wanted {
            lines.retain(|line| wanted(line.map));
            if lines.is_empty() {
                return Ok(());
            }
        }
        let line = EntryLine {
            txid: entry.txid(),
            kind: EntryKind::of(entry).map_err(failed)?,
            bytes: entry.bytes.len(),
            private_bytes: entry.private.len(),
            write_set_digest: hex(&entry.write_set_digest()),
            claims_digest: claims_digest(&domain),
            writes: lines,
        };
        Ok(writeln!(console.out, "{}", serde_json::to_string(&line).map_err(failed)?)?)
    }

    /// What it writes, private maps included if a secret opens them.
    fn writes(&mut self, entry: &Entry<'_>, console: &mut Console<'_>) -> Result<WriteSet, Failure> {
        match writes(entry, &self.secrets) {
            // The ledger may have a new secret since.
            Err(_) if !entry.private.is_empty() => {
                self.secrets = self.place.secrets(console)?;
                writes(entry, &self.secrets)
            }
            other => other,
        }
    }
}

/// What an entry writes, private maps included if there is a secret for it.
pub(super) fn writes(entry: &Entry<'_>, secrets: &Secrets) -> Result<WriteSet, Failure> {
    let domain = PublicDomain::parse(entry.public).map_err(failed)?;
    let mut writes = WriteSet::new();
    writes.extend(domain.maps()).map_err(failed)?;
    if let Some(secret) = secrets.at(entry.txid().seqno).filter(|_| !entry.private.is_empty()) {
        let clear = secret.open(entry.iv, entry.public, entry.tag, entry.private).map_err(failed)?;
        writes.extend(Maps::of_private(&clear)).map_err(failed)?;
    }
    Ok(writes)
}

/// The digest of the claims in hex, if there are any.
pub(super) fn claims_digest(domain: &PublicDomain<'_>) -> Option<String> {
    domain.claims_digest.filter(|digest| **digest != [0; 32]).map(|digest| hex(digest))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
