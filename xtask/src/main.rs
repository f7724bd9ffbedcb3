//! Developer commands. `cargo xtask` lists them.
//!
//! This program depends on nothing, so that it runs at once on a machine that has built nothing yet.

mod fuzz;

use std::process::{Command, ExitCode};
use std::time::Instant;

const USAGE: &str = "\
cargo xtask test            everything that must hold before a change lands: format, lints, tests, documentation
cargo xtask bench streams   measures the streams against bare rusqlite; add a case to run it alone:
                            callers, single, batches, pages, latency, handles, growth, import
cargo xtask bench daemon    measures the daemon against an empty service and the streams in process; cases:
                            unary, session, batches, pages, latency, events, subscribers, idle, command, start
cargo xtask bench buffer    measures the buffer against bare system calls and the directory store of transientdb:
                            append, batch, fetch, memory, directory, files
cargo xtask bench journal   measures the journal and its archive on ledgers of up to 1.5 GB (needs python3, 6 GB of disk):
                            rebuild, incremental, append, index, original, lock
cargo xtask bench chain     measures the chain against bare writes, hashes and signature checks (LEDGER_BENCH_PYTHON names a
                            Python with ccf to compare with); cases: append, signatures, verify, receipts, large
cargo xtask bench yard      measures the yard over 200 services against a shell loop that only starts them; cases:
                            start, adopt, commands, rescan, watch, proxy
cargo xtask fuzz TARGET     runs a fuzz target for a minute, or as long as --seconds N says; --all runs every target
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["test"] => test(),
        ["bench", name @ ("streams" | "daemon" | "yard"), cases @ ..] => bench("ledger", name, cases),
        ["bench", "buffer", cases @ ..] => bench("ledger-buffer", "buffer", cases),
        ["bench", "journal", cases @ ..] => bench("relayburn-ledger", "journal", cases),
        ["bench", "chain", cases @ ..] => bench("ledger-chain", "chain", cases),
        ["fuzz", rest @ ..] => fuzz::command(rest, USAGE),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The steps of CI, in the order of their speed.
fn test() -> Result<(), String> {
    install_components()?;
    let started = Instant::now();
    run("format", cargo(&["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "--deny", "warnings"];
    run("lints", cargo(&clippy))?;
    run(
        "streams without features",
        cargo(&["check", "--package", "ledger-streams", "--no-default-features"]),
    )?;
    run("tests", cargo(&["test", "--workspace", "--all-features"]))?;
    fuzz::test()?;
    let mut documentation = cargo(&["doc", "--workspace", "--all-features", "--no-deps"]);
    documentation.env("RUSTDOCFLAGS", "--deny warnings");
    run("documentation", documentation)?;
    eprintln!("xtask: all passed in {} s", started.elapsed().as_secs());
    Ok(())
}

fn bench(package: &str, name: &str, cases: &[&str]) -> Result<(), String> {
    let mut command = cargo(&["bench", "--package", package, "--all-features", "--bench", name, "--"]);
    command.args(cases);
    run("bench", command)
}

/// What the steps need beyond a bare toolchain.
fn install_components() -> Result<(), String> {
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let found = cargo(&[subcommand, "--version"]).output().is_ok_and(|output| output.status.success());
        if !found {
            let mut rustup = Command::new("rustup");
            rustup.args(["component", "add", component]);
            run("install", rustup)?;
        }
    }
    Ok(())
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    command.args(arguments);
    command
}

fn run(step: &str, mut command: Command) -> Result<(), String> {
    let shown = format!("{command:?}").replace('"', "");
    eprintln!("xtask: {step}: {shown}");
    let started = Instant::now();
    let status = command.status().map_err(|error| format!("xtask: {step}: cannot run {shown}: {error}"))?;
    if !status.success() {
        return Err(format!("xtask: {step} failed ({status}): {shown}"));
    }
    eprintln!("xtask: {step}: passed in {} s", started.elapsed().as_secs());
    Ok(())
}
