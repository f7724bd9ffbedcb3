//! `ledger yard doctor`: is everything there that a yard needs?

use std::path::Path;
use std::process::Command;

use clap::Args;
use ledger_yard::{Home, Kinds};
use serde_json::json;

use super::{LedgerHome, YardFailure};
use crate::console::Console;
use crate::errors::Failure;

/// Arguments of `yard doctor`.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    home: LedgerHome,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What a check found.
struct Finding {
    subject: String,
    /// `Err` says what to do; it is a fault of the yard only if it `matters`.
    result: Result<String, String>,
    matters: bool,
}

pub(super) fn run(args: &DoctorArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut findings = vec![processes(), ledger(&args.home)];
    for kind in Kinds::default().iter() {
        findings.push(program(&kind.command, "--version", kind.enabled && kind.name == "sqlpage"));
    }
    findings.push(program("nginx", "-v", false));
    let has_fault = findings.iter().any(|finding| finding.matters && finding.result.is_err());
    if args.json {
        let list: Vec<_> = findings.iter().map(Finding::json).collect();
        writeln!(console.out, "{}", json!({ "ok": !has_fault, "checks": list }))?;
    } else {
        for finding in &findings {
            writeln!(console.out, "{finding}")?;
        }
    }
    if has_fault {
        Err(YardFailure::Services("something is missing; see above".to_owned()).into())
    } else {
        Ok(())
    }
}

fn processes() -> Finding {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let result = boot.map(|_| "/proc can be read".to_owned());
    let result =
        result.map_err(|error| format!("/proc cannot be read ({error}): processes cannot be told apart"));
    Finding { subject: "processes".to_owned(), result, matters: true }
}

fn ledger(home: &LedgerHome) -> Finding {
    let path: &Path = &home.path;
    let result = match Home::existing(path) {
        Ok(None) => Ok(format!("{} does not exist yet; `ledger yard start` makes it", path.display())),
        Ok(Some(home)) => match (home.marker(), home.sessions()) {
            (Ok(Some(_)), Ok(sessions)) => Ok(format!("{} with {} sessions", path.display(), sessions.len())),
            (Ok(None), Ok(sessions)) if !sessions.is_empty() => {
                Ok(format!("{}, made by another program, with {} sessions", path.display(), sessions.len()))
            }
            (Ok(None), Ok(_)) => Err(format!("{} is no ledger home", path.display())),
            (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
        },
        Err(error) => Err(error.to_string()),
    };
    Finding { subject: "ledger home".to_owned(), result, matters: true }
}

fn program(name: &str, flag: &str, matters: bool) -> Finding {
    let result = match Command::new(name).arg(flag).output() {
        Ok(output) if !output.status.success() => {
            Err(format!("`{name} {flag}` fails ({}); its services will not start either", output.status))
        }
        Ok(output) => {
            let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
            let text = String::from_utf8_lossy(&text);
            Ok(text.lines().next().unwrap_or("is there").trim().to_owned())
        }
        Err(error) => Err(format!("cannot be run ({error}); its services cannot be started without it")),
    };
    Finding { subject: name.to_owned(), result, matters }
}

impl Finding {
    fn word(&self) -> &'static str {
        match (&self.result, self.matters) {
            (Ok(_), _) => "ok",
            (Err(_), true) => "fault",
            (Err(_), false) => "missing",
        }
    }

    fn text(&self) -> &str {
        self.result.as_ref().map_or_else(String::as_str, String::as_str)
    }

    fn json(&self) -> serde_json::Value {
        json!({ "check": self.subject, "result": self.word(), "detail": self.text() })
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:8}{}: {}", self.word(), self.subject, self.text())
    }
}
