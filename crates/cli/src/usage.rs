//! Errors of the command line, in the words of the program that the request describes (specification §7).

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Prints help to standard output or an error to standard error; answers the exit code.
pub(crate) fn report(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => {
            let _ = io::stderr().write_all(format!("Error: {}\n", text_of(error)).as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn text_of(error: &clap::Error) -> String {
    let argument = context(error, ContextKind::InvalidArg);
    let value = context(error, ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::UnknownArgument => unknown_flag(error, &argument),
        ErrorKind::InvalidSubcommand => unknown_command(error),
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("flag needs an argument: {}", flag_name(&argument))
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => invalid_value(error, &argument, &value),
        ErrorKind::ArgumentConflict => {
            let other = context(error, ContextKind::PriorArg);
            format!("{} and {} exclude each other", flag_name(&argument), flag_name(&other))
        }
        ErrorKind::MissingRequiredArgument => "accepts 1 arg(s), received 0".to_owned(),
        ErrorKind::InvalidUtf8 => "an argument is not valid UTF-8".to_owned(),
        _ => error.to_string().trim_start_matches("error: ").trim_end().to_owned(),
    }
}

fn unknown_flag(error: &clap::Error, argument: &str) -> String {
    if let Some(letters) = argument.strip_prefix('-').filter(|rest| !rest.starts_with('-')) {
        let letter = letters.chars().next().unwrap_or('-');
        return format!("unknown shorthand flag: '{letter}' in {argument}");
    }
    let name = argument.split_once('=').map_or(argument, |(name, _)| name);
    with_suggestions(format!("unknown flag: {name}"), &context_list(error, ContextKind::SuggestedArg))
}

fn unknown_command(error: &clap::Error) -> String {
    let command = context(error, ContextKind::InvalidSubcommand);
    let text = format!("unknown command {command:?} for {:?}", parent_command(error));
    with_suggestions(text, &context_list(error, ContextKind::SuggestedSubcommand))
}

fn with_suggestions(text: String, suggestions: &[String]) -> String {
    if suggestions.is_empty() {
        return text;
    }
    let lines: String = suggestions.iter().map(|suggestion| format!("\n\t{suggestion}")).collect();
    format!("{text}\n\nDid you mean this?{lines}\n")
}

/// The command whose subcommand is unknown: what its usage begins with.
fn parent_command(error: &clap::Error) -> String {
    let usage = context(error, ContextKind::Usage);
    let words = usage.trim_start_matches("Usage:").split_whitespace();
    words.take_while(|word| !word.starts_with(['[', '<'])).collect::<Vec<_>>().join(" ")
}

fn invalid_value(error: &clap::Error, argument: &str, value: &str) -> String {
    let possible = context_list(error, ContextKind::ValidValue);
    let reason = match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None if possible.is_empty() => "it is not allowed here".to_owned(),
        None => format!("it is none of {}", possible.join(", ")),
    };
    if argument.starts_with('-') {
        format!("invalid argument {value:?} for {:?} flag: {reason}", flag_name(argument))
    } else {
        format!("invalid argument {value:?}: {reason}")
    }
}

/// `--limit <N>` without what comes after the name.
fn flag_name(argument: &str) -> &str {
    argument.split([' ', '=', '[']).next().unwrap_or(argument)
}

fn context(error: &clap::Error, kind: ContextKind) -> String {
    context_list(error, kind).into_iter().next().unwrap_or_default()
}

fn context_list(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::StyledStr(text)) => vec![text.to_string()],
        _ => Vec::new(),
    }
}
