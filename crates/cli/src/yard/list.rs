//! `ledger yard ls` and `ps`.

use clap::Args;
use comfy_table::{Table, presets};
use ledger_yard::{Drift, DriftItem, Home, Liveness, Record, RecordProblem, reconcile, tagged};
use serde_json::json;

use super::{LedgerHome, YardFailure, page};
use crate::console::Console;
use crate::errors::Failure;

/// Arguments of `yard ls`.
#[derive(Args, Debug)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    home: LedgerHome,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// Arguments of `yard ps`.
#[derive(Args, Debug)]
pub(crate) struct PsArgs {
    #[command(flatten)]
    home: LedgerHome,
    /// All that is known of each service
    #[arg(long, short)]
    extended: bool,
    /// Compare the ledger with the processes; exit code 1 if they differ
    #[arg(long)]
    reconcile: bool,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
    /// As a page for the browser
    #[arg(long, conflicts_with_all = ["extended", "reconcile", "json"])]
    html: bool,
    /// Accepted for scripts that were written for the original program: processes are always found in /proc
    #[arg(long, value_name = "STRATEGY", value_parser = ["container", "native"], hide = true)]
    strategy: Option<String>,
}

pub(super) fn ls(args: &LsArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let Some(home) = args.home.existing()? else { return Ok(()) };
    let (records, problems) = home.records(false).map_err(YardFailure::from)?;
    say_problems(&problems, console);
    if args.json {
        return records.iter().try_for_each(|record| print_json(record, console));
    }
    let mut table = table(["SERVICE", "KIND", "STATE", "PID", "URL", "SESSION"]);
    for record in &records {
        let pid = pid(record);
        table.add_row([
            record.service_id(),
            record.kind(),
            record.actual_state(),
            &pid,
            record.url(),
            &record.session,
        ]);
    }
    print(&table, records.is_empty(), console)
}

pub(super) fn ps(args: &PsArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let Some(home) = args.home.existing()? else { return Ok(()) };
    if args.reconcile {
        return drift(&reconcile(&home).map_err(YardFailure::from)?, args.json, console);
    }
    let records = live(&home, console)?;
    if args.json {
        return records.iter().try_for_each(|record| print_json(record, console));
    }
    if args.html {
        return Ok(console.out.write_all(page::page(&home, &records).as_bytes())?);
    }
    if args.extended {
        return extended(&home, &records, console);
    }
    rows(&records, console)
}

/// Lists the services that run, as `ps` does.
pub(super) fn running(home: &Home, console: &mut Console<'_>) -> Result<(), Failure> {
    let records = live(home, console)?;
    rows(&records, console)
}

fn live(home: &Home, console: &mut Console<'_>) -> Result<Vec<Record>, Failure> {
    let (records, problems) = home.present().map_err(YardFailure::from)?;
    say_problems(&problems, console);
    Ok(records
        .into_iter()
        .filter(|record| record.is_kept() || record.liveness() == Liveness::Alive)
        .collect())
}

fn rows(records: &[Record], console: &mut Console<'_>) -> Result<(), Failure> {
    let mut table = table(["PID", "PORT", "TYPE", "STATE", "DATABASE", "PROXY PREFIX"]);
    for record in records {
        let port = record.port().map(|port| port.to_string()).unwrap_or_default();
        let pid = pid(record);
        table.add_row([
            &pid,
            &port,
            record.kind(),
            record.actual_state(),
            record.relative_path(),
            record.prefix(),
        ]);
    }
    print(&table, records.is_empty(), console)
}

fn extended(home: &Home, records: &[Record], console: &mut Console<'_>) -> Result<(), Failure> {
    let processes = tagged(home.path());
    for record in records {
        writeln!(console.out, "[{}] {} ({}/{})", pid(record), record.url(), record.kind(), record.nature())?;
        let process = processes.iter().find(|process| Some(process.pid) == record.pid());
        let cmdline = process.map(|process| process.cmdline.as_str()).unwrap_or_default();
        let path = record.path.to_string_lossy();
        for (name, value) in [
            ("state", record.actual_state()),
            ("provenance", record.provenance()),
            ("sessionId", record.session.as_str()),
            ("serviceId", record.service_id()),
            ("kind", record.kind()),
            ("proxyPrefix", record.prefix()),
            ("upstreamUrl", record.url()),
            ("contextPath", &path),
            ("stdout", record.stdout()),
            ("stderr", record.stderr()),
            ("cmdline", cmdline),
        ] {
            let value = if value.is_empty() { "(none)" } else { value };
            writeln!(console.out, "  {name}: {value}")?;
        }
    }
    Ok(())
}

fn drift(drift: &Drift, as_json: bool, console: &mut Console<'_>) -> Result<(), Failure> {
    let [processes, entries, unkept] = drift.counts();
    if as_json {
        let summary = json!({
            "processWithoutLedger": processes,
            "ledgerWithoutProcess": entries,
            "serviceWithoutKeeper": unkept,
        });
        let json = json!({ "summary": summary, "items": drift.items, "problems": drift.problems });
        writeln!(console.out, "{json}")?;
    } else {
        drift.items.iter().try_for_each(|item| say_drift(item, console))?;
        for problem in &drift.problems {
            writeln!(console.out, "unreadable context: {problem}")?;
        }
        writeln!(console.out, "{} services are as the ledger says", drift.agreeing)?;
    }
    if drift.is_none() {
        return Ok(());
    }
    let count = drift.items.len().saturating_add(drift.problems.len());
    Err(YardFailure::Services(format!("the ledger and the processes differ in {count} places")).into())
}

fn say_drift(item: &DriftItem, console: &mut Console<'_>) -> Result<(), Failure> {
    let out = &mut console.out;
    match item {
        DriftItem::ProcessWithoutLedger { pid, service_id, context_path, cmdline, .. } => {
            writeln!(out, "process without ledger: {service_id} [{pid}] {cmdline}")?;
            writeln!(out, "  its context would be {}", context_path.display())?;
        }
        DriftItem::LedgerWithoutProcess { ledger_context_path, pid, service_id, .. } => {
            let pid = pid.map_or_else(|| "never started".to_owned(), |pid| pid.to_string());
            writeln!(out, "ledger without process: {service_id} [{pid}]")?;
            writeln!(out, "  its context is {}", ledger_context_path.display())?;
        }
        DriftItem::ServiceWithoutKeeper { ledger_context_path, pid, service_id } => {
            let pid = pid.map_or_else(String::new, |pid| pid.to_string());
            writeln!(out, "service without keeper: {service_id} [{pid}]")?;
            writeln!(out, "  its context is {}", ledger_context_path.display())?;
        }
    }
    writeln!(out, "  {}", item.advice())?;
    Ok(())
}

fn print_json(record: &Record, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut value = record.value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("actualState".to_owned(), record.actual_state().into());
        fields.insert("contextPath".to_owned(), record.path.to_string_lossy().into());
    }
    writeln!(console.out, "{value}")?;
    Ok(())
}

fn say_problems(problems: &[RecordProblem], console: &mut Console<'_>) {
    for problem in problems {
        console.note(format_args!("Warning: {problem}"));
    }
}

pub(super) fn pid(record: &Record) -> String {
    record.pid().map(|pid| pid.to_string()).unwrap_or_default()
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn print(table: &Table, is_empty: bool, console: &mut Console<'_>) -> Result<(), Failure> {
    if is_empty {
        return Ok(());
    }
    for line in table.lines() {
        writeln!(console.out, "{}", line.trim_end())?;
    }
    Ok(())
}
