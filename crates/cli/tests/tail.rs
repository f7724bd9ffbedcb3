//! `ledger stream tail`.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout};

use common::{Ledger, Run, signal};

struct Tail {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Tail {
    fn start(ledger: &Ledger, args: &[&str]) -> Self {
        let mut child = ledger.spawn(&[&["stream", "tail"], args].concat());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn next(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// Ends it as Ctrl+C does; answers what it still printed.
    fn end(mut self) -> Vec<String> {
        signal(&self.child, "INT");
        let rest: Vec<_> = self.lines.by_ref().map(Result::unwrap).collect();
        let run = Run::of(self.child.wait_with_output().unwrap());
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
        rest
    }
}

#[test]
fn what_is_there_and_what_comes_is_printed_once() {
    let ledger = Ledger::new();
    ledger.ok(&["stream", "append", "one"]);
    ledger.ok(&["stream", "append", "two"]);
    let mut tail = Tail::start(&ledger, &[]);
    assert_eq!(tail.next(), "1\tone");
    assert_eq!(tail.next(), "2\ttwo");
    for number in 3..10 {
        ledger.ok(&["stream", "append", "-S", "other", "elsewhere"]);
        ledger.ok(&["stream", "append", "more"]);
        assert_eq!(tail.next(), format!("{}\tmore", number * 2 - 2));
    }
    assert!(tail.end().is_empty());
}

#[test]
fn a_burst_is_printed_whole_and_in_order() {
    let ledger = Ledger::new();
    ledger.ok(&["store", "create", "ledger_entries"]);
    let lines: String = (1..=3000).map(|line| format!("{line}\n")).collect();
    let mut tail = Tail::start(&ledger, &["--from", "start"]);
    let file = ledger.file("lines.txt", lines);
    ledger.ok(&["stream", "append", "--input", &file]);
    for line in 1..=3000 {
        assert_eq!(tail.next(), format!("{line}\t{line}"));
    }
    // Whether it fell behind meanwhile is told on standard error and depends on the machine.
    signal(&tail.child, "INT");
    assert!(tail.lines.next().is_none());
    assert_eq!(tail.child.wait().unwrap().code(), Some(0));
}

#[test]
fn it_begins_where_it_is_told() {
    let ledger = Ledger::new();
    for payload in ["one", "two", "three"] {
        ledger.ok(&["stream", "append", payload]);
    }
    let mut tail = Tail::start(&ledger, &["--from", "1", "--json"]);
    assert!(tail.next().starts_with(r#"{"id":"2","stream":"default","payload":"InR3byI=","#));
    assert!(tail.next().starts_with(r#"{"id":"3","#));
    assert!(tail.end().is_empty());

    // The end of the stream is found before the tail answers to anything, so append until it shows.
    let mut tail = Tail::start(&ledger, &["--from", "now", "--escape"]);
    let (sender, receiver) = std::sync::mpsc::channel();
    let first = std::thread::spawn(move || {
        let first = tail.next();
        sender.send(()).unwrap();
        (first, tail)
    });
    while receiver.try_recv().is_err() {
        ledger.ok(&["stream", "append", "a\nb"]);
    }
    let (first, tail) = first.join().unwrap();
    let (id, text) = first.split_once('\t').unwrap();
    assert!(id.parse::<u32>().unwrap() > 3, "{first}");
    assert_eq!(text, "a\\nb");
    tail.end();
}

#[test]
fn flags_of_the_original_are_accepted() {
    let ledger = Ledger::new();
    ledger.ok(&["stream", "append", "one"]);
    ledger.ok(&["stream", "append", "two"]);
    let mut tail = Tail::start(&ledger, &["--interval", "100ms", "--limit", "1"]);
    assert_eq!(tail.next(), "1\tone");
    assert_eq!(tail.next(), "2\ttwo");
    assert!(tail.end().is_empty());
    assert!(!ledger.ok(&["stream", "tail", "--help"]).contains("--interval"));
}

#[test]
fn a_stream_without_entries_is_waited_for_but_a_store_must_exist() {
    let ledger = Ledger::new();
    ledger.ok(&["store", "create", "orders"]);
    let mut tail = Tail::start(&ledger, &["-s", "orders", "-S", "later"]);
    ledger.ok(&["stream", "append", "-s", "orders", "-S", "later", "here"]);
    assert_eq!(tail.next(), "1\there");
    assert!(tail.end().is_empty());
    let path = ledger.path("test.db");
    assert_eq!(
        ledger.fails(&["stream", "tail", "-s", "missing"]),
        format!(
            "Error: ledger/sqlite: there is no store \"missing\" in {}; there are: orders\n",
            path.display()
        )
    );
    assert_eq!(
        ledger.fails(&["stream", "tail", "-s", "orders", "--from", "later"]),
        "Error: ledger: invalid cursor type: expected a decimal 64-bit id, got \"later\"\n"
    );
}
