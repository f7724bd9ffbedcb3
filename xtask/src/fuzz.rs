//! Coverage-guided fuzzing on stable Rust.
//!
//! The targets live in `fuzz/`, a workspace of its own. libFuzzer comes with the crate `libfuzzer-sys`, which compiles it
//! from C++, and the compiler that every Rust has instruments the code: neither a nightly toolchain nor clang is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{cargo, run};

/// How long a target runs when nobody says.
const DEFAULT_SECONDS: &str = "60";
/// How long a target runs as part of the tests, unless `LEDGER_FUZZ_SECONDS` says otherwise.
const TEST_SECONDS: &str = "5";

/// What cargo-fuzz passes too: LLVM's coverage in the form that libFuzzer reads, and comparisons with their operands.
const RUSTFLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 --cfg fuzzing";

/// `cargo xtask fuzz …`
pub(crate) fn command(arguments: &[&str], usage: &str) -> Result<(), String> {
    let (what, seconds) = match arguments {
        [what] => (*what, DEFAULT_SECONDS),
        [what, "--seconds", seconds] if seconds.parse::<u32>().is_ok() => (*what, *seconds),
        _ => return Err(usage.to_owned()),
    };
    let all = targets()?;
    let chosen: Vec<String> = all.iter().filter(|name| what == "--all" || *name == what).cloned().collect();
    if chosen.is_empty() {
        return Err(format!("xtask: there is no fuzz target {what}; there are: {}", all.join(", ")));
    }
    fuzz(&chosen, seconds)
}

/// Every target for some seconds: a step of the tests.
pub(crate) fn test() -> Result<(), String> {
    run("fuzz format", cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--", "--check"]))?;
    let seconds = std::env::var("LEDGER_FUZZ_SECONDS").unwrap_or_else(|_| TEST_SECONDS.to_owned());
    fuzz(&targets()?, &seconds)
}

fn fuzz(targets: &[String], seconds: &str) -> Result<(), String> {
    let host = host()?;
    // With --target the flags stay away from build scripts and procedural macros.
    let build = ["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target-dir", "target/fuzz"];
    let mut build = cargo(&build);
    build.args(["--target", &host]).env("RUSTFLAGS", RUSTFLAGS).current_dir(root());
    run("fuzz build", build)?;
    for target in targets {
        let corpus = format!("fuzz/corpus/{target}");
        // What is found on the way goes where it is not in anybody's way, and is taken up by the next run.
        let found = format!("target/fuzz/corpus/{target}");
        for folder in [&corpus, &found] {
            let folder = root().join(folder);
            fs::create_dir_all(&folder)
                .map_err(|error| format!("xtask: cannot create {}: {error}", folder.display()))?;
        }
        let mut command = Command::new(root().join(format!("target/fuzz/{host}/release/{target}")));
        // Longer inputs only slow it down: every format has its edges within this length.
        command.args(["-max_len=8192", "-timeout=30", "-rss_limit_mb=2048", "-print_final_stats=1"]);
        command.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={corpus}/"));
        command.args([&found, &corpus]).current_dir(root());
        run(&format!("fuzz {target}"), command).map_err(|error| {
            format!("{error}\nThe input is now in {corpus}/, where every later run tries it: commit it with the fix.")
        })?;
    }
    Ok(())
}

/// A file in `fuzz/src/bin` each.
fn targets() -> Result<Vec<String>, String> {
    let folder = root().join("fuzz/src/bin");
    let unreadable = |error| format!("xtask: cannot list {}: {error}", folder.display());
    let mut targets = Vec::new();
    for entry in fs::read_dir(&folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        targets.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    targets.sort();
    Ok(targets)
}

fn host() -> Result<String, String> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(&rustc)
        .arg("-vV")
        .output()
        .map_err(|error| format!("xtask: cannot run {rustc}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| format!("xtask: {rustc} -vV names no host"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
