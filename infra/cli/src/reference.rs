//! The reference of all commands in README.md, made from what clap knows of them.

use std::fmt::Write as _;

use clap::{Arg, Command};

/// A table of the commands: each with its subcommands, and what it is for.
pub(crate) fn overview(cli: &Command) -> String {
    let mut text = "\n| command | does |\n|---|---|\n".to_owned();
    for command in described(cli) {
        let name = command.get_name();
        let inner = described(command).map(|one| format!("[`{}`](#webhooks-{name}-{0})", one.get_name()));
        let inner: Vec<String> = inner.collect();
        let names = if inner.is_empty() {
            format!("[`{name}`](#webhooks-{name})")
        } else {
            format!("`{name}`: {}", inner.join(", "))
        };
        let _ = writeln!(text, "| {names} | {} |", cell(&about(command)));
    }
    text + "\n"
}

/// Every command: what it is for, its arguments, and its examples.
pub(crate) fn reference(cli: &Command) -> String {
    let mut cli = cli.clone();
    cli.build();
    let mut text = "\nEvery command takes these:\n\n".to_owned();
    text += &arguments(cli.get_arguments().filter(|argument| argument.is_global_set()));
    for command in described(&cli) {
        chapter(&mut text, command, "");
    }
    text + "\n"
}

fn chapter(text: &mut String, command: &Command, parents: &str) {
    let name = format!("{parents}{}", command.get_name());
    let mut inner = described(command).peekable();
    if inner.peek().is_some() {
        inner.for_each(|one| chapter(text, one, &format!("{name} ")));
        return;
    }
    let long = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let _ = write!(text, "\n### webhooks {name}\n\n{}\n", sentence(&long));
    let own = command.get_arguments().filter(|argument| !argument.is_global_set());
    let table = arguments(own);
    if !table.is_empty() {
        let _ = write!(text, "\n{table}");
    }
    if let Some(after) = command.get_after_help() {
        let _ = write!(text, "\n```text\n{}\n```\n", after.to_string().trim());
    }
}

/// The commands that a user calls: not clap's own `help`.
fn described(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|one| one.get_name() != "help")
}

fn arguments<'a>(arguments: impl Iterator<Item = &'a Arg>) -> String {
    let mut rows = String::new();
    for argument in arguments.filter(|argument| argument.get_id() != "help" && argument.get_id() != "version")
    {
        let values = argument.get_value_names().unwrap_or_default();
        let values: Vec<&str> = values.iter().map(|name| name.as_str()).collect();
        let takes = argument.get_action().takes_values();
        let value = if takes { values.join(" ") } else { String::new() };
        let short = argument.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
        let name = match argument.get_long() {
            Some(long) => format!("{short}--{long} {value}"),
            None => value,
        };
        let mut help = sentence(&argument.get_help().map(ToString::to_string).unwrap_or_default());
        let possible = argument.get_possible_values();
        let named: Vec<String> = possible.iter().map(|one| format!("`{}`", one.get_name())).collect();
        if takes && !named.is_empty() {
            let _ = write!(help, " One of {}.", named.join(", "));
        }
        let defaults: Vec<String> =
            argument.get_default_values().iter().map(|value| format!("`{}`", value.display())).collect();
        if takes && !defaults.is_empty() {
            let _ = write!(help, " {} unless given.", defaults.join(", "));
        }
        if argument.is_required_set() {
            help += " Required.";
        }
        let _ = writeln!(rows, "| `{}` | {} |", name.trim(), cell(&help));
    }
    if rows.is_empty() { rows } else { format!("| argument | means |\n|---|---|\n{rows}") }
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// clap leaves out the full stop of a single sentence.
fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}

/// A text that can stand in a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}
