//! Flags in front of the command that they belong to.
//!
//! In the program that the request describes flags may stand anywhere (specification §7): `ledger stream --limit 5 read`
//! is `ledger stream read --limit 5`. The parser wants a flag behind its command, so they are moved there first.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

/// Moves flags that stand in front of a command behind it. The order of flags and of everything else stays.
pub(crate) fn flags_behind_commands(tree: &Command, arguments: Vec<OsString>) -> Vec<OsString> {
    let mut rest = arguments.into_iter().peekable();
    let mut commands: Vec<OsString> = rest.next().into_iter().collect();
    let (mut flags, mut command) = (Vec::new(), tree);
    while let Some(next) = rest.peek() {
        if let Some(inner) = command.find_subcommand(next) {
            command = inner;
            commands.extend(rest.next());
        } else if is_flag(next) {
            let is_followed_by_value = takes_the_next_argument(tree, next);
            flags.extend(rest.next());
            if is_followed_by_value {
                flags.extend(rest.next());
            }
        } else {
            break;
        }
    }
    commands.extend(flags);
    commands.extend(rest);
    commands
}

fn is_flag(argument: &OsStr) -> bool {
    argument.to_str().is_some_and(|text| text.starts_with('-') && text != "-" && text != "--")
}

/// Whether the value of a flag is the argument behind it. A flag that nobody knows is left to the parser, together with
/// what follows it, as in the original.
fn takes_the_next_argument(tree: &Command, flag: &OsStr) -> bool {
    let Some(flag) = flag.to_str().filter(|flag| !flag.contains('=')) else { return false };
    match flag.strip_prefix("--") {
        Some(name) => {
            name != "help" && !any_flag(tree, &|arg| arg.get_long() == Some(name) && is_switch(arg))
        }
        None => {
            let mut letters = flag.chars().skip(1);
            // More letters are the value.
            let (letter, None) = (letters.next(), letters.next()) else { return false };
            letter != Some('h') && !any_flag(tree, &|arg| arg.get_short() == letter && is_switch(arg))
        }
    }
}

/// A switch takes a value only behind `=`.
fn is_switch(flag: &Arg) -> bool {
    flag.is_require_equals_set()
}

fn any_flag(command: &Command, is_it: &dyn Fn(&Arg) -> bool) -> bool {
    command.get_arguments().any(is_it) || command.get_subcommands().any(|inner| any_flag(inner, is_it))
}
