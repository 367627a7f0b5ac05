//! The options of a clap command: which there are, settings as their defaults, and errors with their origin.
//!
//! Settings become defaults of the command, so clap checks and converts them as it does what is on the command line.

use super::error::ConfigError;
use super::layers::{Given, Settings};
use clap::builder::OsStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

const CONFIG: &str = "config";

/// `command` with `--config FILE`, also after a subcommand.
pub(super) fn with_config(command: Command) -> Command {
    let config = Arg::new(CONFIG).long(CONFIG).value_name("FILE").global(true);
    command.arg(
        config
            .help("A TOML file with options, by their long names; the environment (PELTON_..) goes over it"),
    )
}

/// The long names that a setting may stand for, those of subcommands included.
pub(super) fn known(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter(|argument| {
        !matches!(
            argument.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        )
    });
    let own =
        own.filter_map(|argument| argument.get_long()).filter(|long| *long != CONFIG).map(str::to_owned);
    own.chain(command.get_subcommands().flat_map(known)).collect()
}

/// The file that `--config` names. It must be known before clap can parse anything.
pub(super) fn config_file(arguments: &[OsString]) -> Option<PathBuf> {
    let mut arguments = arguments.iter().skip(1).take_while(|argument| *argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(path) = argument.to_str().and_then(|argument| argument.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    None
}

/// `command` with every setting as the default of its option.
pub(super) fn with_defaults(command: Command, settings: &Settings) -> Result<Command, ConfigError> {
    let mut refused = None;
    let command = command_with_defaults(command, settings, &mut refused);
    match refused {
        Some(error) => Err(error),
        None => Ok(command),
    }
}

fn command_with_defaults(
    command: Command,
    settings: &Settings,
    refused: &mut Option<ConfigError>,
) -> Command {
    let command = command.mut_args(|argument| {
        let Some(long) = argument.get_long().map(str::to_owned) else { return argument };
        match settings.get(&long) {
            None => argument,
            Some(Given::One(value)) => argument.required(false).default_value(OsStr::from(value)),
            Some(Given::List(values)) if takes_several(&argument) => {
                argument.required(false).default_values(values.into_iter().map(OsStr::from))
            }
            Some(Given::List(_)) => {
                let origin = settings.origin(&long).unwrap_or_default();
                *refused = Some(ConfigError::Shape {
                    origin,
                    key: long,
                    reason: "takes one value, and is a list".to_owned(),
                });
                argument
            }
        }
    });
    command.mut_subcommands(|subcommand| command_with_defaults(subcommand, settings, refused))
}

fn takes_several(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Append) || argument.get_value_delimiter().is_some()
}

/// Says where a value comes from that clap refused, where that is not the command line.
pub(super) fn with_origin(error: clap::Error, settings: &Settings, arguments: &[OsString]) -> ConfigError {
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        return ConfigError::CommandLine(error);
    }
    let origin = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(usage)) => {
            let long = usage.trim_start_matches("--").split([' ', '=', '[']).next().unwrap_or_default();
            if is_on(arguments, long) { None } else { settings.origin(long) }
        }
        _ => None,
    };
    match origin {
        Some(origin) => ConfigError::Value { origin, error },
        None => ConfigError::CommandLine(error),
    }
}

fn is_on(arguments: &[OsString], long: &str) -> bool {
    arguments.iter().filter_map(|argument| argument.to_str()).any(|argument| {
        let given =
            argument.strip_prefix("--").map(|rest| rest.split_once('=').map_or(rest, |(name, _)| name));
        given == Some(long)
    })
}
