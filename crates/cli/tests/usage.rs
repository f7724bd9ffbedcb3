//! Help, versions, completions, and command lines that make no sense.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use common::Ledger;

#[test]
fn unknown_commands_are_named_with_suggestions() {
    let ledger = Ledger::new();
    assert_eq!(ledger.fails(&["frobnicate"]), "Error: unknown command \"frobnicate\" for \"ledger\"\n");
    assert_eq!(
        ledger.fails(&["strem"]),
        "Error: unknown command \"strem\" for \"ledger\"\n\nDid you mean this?\n\tstart\n\tstore\n\tstream\n\n"
    );
    assert_eq!(
        ledger.fails(&["stream", "coutn"]),
        "Error: unknown command \"coutn\" for \"ledger stream\"\n\nDid you mean this?\n\tcount\n\n"
    );
    assert_eq!(
        ledger.fails(&["stream", "xyzzy"]),
        "Error: unknown command \"xyzzy\" for \"ledger stream\"\n"
    );
    assert_eq!(ledger.fails(&["store", "xyzzy"]), "Error: unknown command \"xyzzy\" for \"ledger store\"\n");
    assert!(ledger.files().is_empty());
}

#[test]
fn unknown_flags_are_named() {
    let ledger = Ledger::new();
    assert_eq!(ledger.fails(&["stream", "read", "--frobnicate"]), "Error: unknown flag: --frobnicate\n");
    assert_eq!(ledger.fails(&["stream", "read", "--frobnicate=1"]), "Error: unknown flag: --frobnicate\n");
    assert_eq!(
        ledger.fails(&["stream", "read", "--lmit", "3"]),
        "Error: unknown flag: --lmit\n\nDid you mean this?\n\t--limit\n\n"
    );
    assert_eq!(ledger.fails(&["stream", "read", "-x"]), "Error: unknown shorthand flag: 'x' in -x\n");
    assert_eq!(ledger.fails(&["stream", "append", "-5"]), "Error: unknown shorthand flag: '5' in -5\n");
    assert_eq!(ledger.fails(&["--frobnicate"]), "Error: unknown flag: --frobnicate\n");
}

#[test]
fn a_flag_takes_what_follows_as_its_value() {
    let ledger = Ledger::new();
    assert_eq!(ledger.fails(&["stream", "read", "--stream"]), "Error: flag needs an argument: --stream\n");
    ledger.ok(&["stream", "append", "--stream", "--json", "--", "-x"]);
    assert_eq!(ledger.ok(&["stream", "list"]), "--json\n");
    assert_eq!(ledger.ok(&["stream", "read", "-S", "--json"]), "1\t-x\n");
    assert_eq!(
        ledger.fails(&["stream", "read", "--desc=maybe"]),
        "Error: invalid argument \"maybe\" for \"--desc\" flag: value was not a boolean\n"
    );
}

#[test]
fn flags_may_stand_anywhere() {
    let ledger = Ledger::new();
    let database = ledger.path("elsewhere.db");
    let database = database.to_str().unwrap();
    let spread =
        ["-s", "orders", "--db", database, "stream", "--stream=s", "append", "text", "--tag", "stream"];
    assert_eq!(ledger.ok(&spread), "1\n");
    let entry = "1\ttext\n";
    for line in [
        &["--db", database, "stream", "read", "-s", "orders", "-S", "s"][..],
        &["--limit", "5", "stream", "--desc", "-sorders", "--db", database, "read", "-S=s"],
        &["stream", "read", "--escape", "-S", "s", "--tag", "stream", "-s=orders", "--db", database],
        &["--json=false", "stream", "-S", "s", "--db", database, "--store", "orders", "read", "-c", "unused"],
    ] {
        assert_eq!(ledger.ok(line), entry, "{line:?}");
    }
    // Wherever they stand, the last one counts.
    let line =
        ["-S", "none", "--db", "none.db", "stream", "--db", database, "count", "-s", "orders", "-S", "s"];
    assert_eq!(ledger.ok(&line), "1\n");
    assert!(ledger.files().iter().all(|file| file.starts_with("elsewhere.db")), "{:?}", ledger.files());

    assert_eq!(ledger.fails(&["--frobnicate", "stream", "read"]), "Error: unknown flag: --frobnicate\n");
    assert_eq!(ledger.fails(&["--limit", "5", "version"]), "Error: unknown flag: --limit\n");
    assert_eq!(ledger.fails(&["stream", "--limit"]), "Error: unknown flag: --limit\n");
    assert_eq!(
        ledger.fails(&["--limit", "x", "stream", "read"]),
        "Error: invalid argument \"x\" for \"--limit\" flag: it is not a whole number\n"
    );
    let help = ledger.ok(&["-h", "stream", "read"]);
    assert!(help.contains("Usage: ledger stream read [OPTIONS]\n"), "{help}");
}

#[test]
fn every_command_takes_the_flags_of_the_daemon() {
    let ledger = Ledger::new();
    let flags = ["--config", "-c, --config", "--addr", "--http-addr", "--api-key"];
    for command in
        [&["start"][..], &["stop"], &["status"], &["version"], &["stream", "read"], &["key", "list"]]
    {
        let help = ledger.ok(&[command, &["--help"]].concat());
        assert!(flags.iter().all(|flag| help.contains(flag)), "{command:?}: {help}");
    }
    let version = ledger.ok(&["version"]);
    let line = ["-c", "a", "--addr=b:1", "version", "--api-key", "k", "--http-addr", "c:2"];
    assert_eq!(ledger.ok(&line), version);
}

#[test]
fn help_about_what_there_is_not_is_an_error() {
    let ledger = Ledger::new();
    for line in
        [&["help", "frobnicate"][..], &["help", "stream", "frobnicate"], &["stream", "help", "frobnicate"]]
    {
        let said = ledger.fails(line);
        assert!(said.starts_with("Error: unknown command \"frobnicate\" for \"ledger"), "{line:?}: {said}");
    }
}

#[test]
fn help_goes_to_standard_output() {
    let ledger = Ledger::new();
    for (args, usage) in [
        (&[][..], "Usage: ledger [OPTIONS] [COMMAND]\n"),
        (&["--help"], "Usage: ledger [OPTIONS] [COMMAND]\n"),
        (&["stream"], "Usage: ledger stream [OPTIONS] [COMMAND]\n"),
        (&["help", "stream"], "Usage: ledger stream [OPTIONS] [COMMAND]\n"),
        (&["store"], "Usage: ledger store [OPTIONS] [COMMAND]\n"),
        (&["stream", "append", "-h"], "Usage: ledger stream append [OPTIONS] <PAYLOAD>\n"),
        (&["stream", "help", "read"], "Usage: ledger stream read [OPTIONS]\n"),
    ] {
        let help = ledger.ok(args);
        assert!(help.contains(usage), "{args:?}: {help}");
        assert!(help.ends_with('\n'));
    }
}

#[test]
fn the_version_is_told() {
    let ledger = Ledger::new();
    let expected = format!("ledger {} (commit unknown, built unknown)\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(ledger.ok(&["version"]), expected);
    let extra = ledger.run(&["version", "x"]);
    assert_eq!((extra.code, extra.out), (Some(0), expected));
    assert_eq!(extra.err, "Warning: argument \"x\" has no effect\n");
}

#[test]
fn completions_are_printed_for_every_shell() {
    let ledger = Ledger::new();
    for (shell, sign) in [
        ("bash", "complete -F _ledger"),
        ("zsh", "#compdef ledger"),
        ("fish", "complete -c ledger"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = ledger.ok(&["completions", shell]);
        assert!(script.contains(sign), "{shell}");
        assert!(script.contains("expect-last"), "{shell}");
    }
    assert_eq!(ledger.ok(&["completion", "bash"]), ledger.ok(&["completions", "bash"]));
    assert_eq!(
        ledger.fails(&["completions", "tcsh"]),
        "Error: invalid argument \"tcsh\": it is none of bash, elvish, fish, powershell, zsh\n"
    );
    assert_eq!(ledger.fails(&["completions"]), "Error: accepts 1 arg(s), received 0\n");
}
