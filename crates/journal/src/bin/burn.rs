//! The binary `burn`: what [`relayburn_ledger::state`] does, from the shell.

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let mut out = std::io::stdout().lock();
    let code = relayburn_ledger::state::burn(&arguments, &mut out, &mut std::io::stderr());
    // A reader that went away is no failure of ours.
    let _ = out.flush();
    ExitCode::from(code)
}
