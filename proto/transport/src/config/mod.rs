//! A program's options: from its defaults, a file, the environment and its command line, each over the one before.
//!
//! A program describes its options once, as a clap structure. Every option with a long name can then be given as
//!
//! | where | how |
//! |---|---|
//! | command line | `--tls-cert pelton.crt` |
//! | environment | `PELTON_TLS_CERT=pelton.crt`, or `PELTON_TLS__CERT=..` |
//! | file | `tls-cert = "pelton.crt"`, or `cert = "pelton.crt"` under `[tls]` |
//! | default | what the structure says |
//!
//! `_` and `-` are the same, and the parts of a nested key are joined by `-`. An option without a value is `true`
//! or `false`; one that may be given several times is a list in a file, and in the environment as on the command
//! line. An empty variable counts as none. The file is TOML, named by `--config FILE` or `PELTON_CONFIG`; there is
//! no other place where it is looked for. Paths in it are relative to where the program was started.
//!
//! A key that is no option is refused, with those it may have meant, and a value that does not fit is refused with
//! where it comes from. Secrets are given as files, never as values, so no error can show one; of a file that is no
//! TOML, no error shows a line.
//!
//! ```
//! use clap::Parser;
//! use pelton_transport::config::{self, Environment, SecurityArgs, ServingArgs};
//! use pelton_transport::{ListenOptions, Security};
//! use std::net::SocketAddr;
//!
//! #[derive(Debug, Parser)]
//! struct Options {
//!     /// Where to listen
//!     #[arg(long, default_value = "127.0.0.1:4100")]
//!     listen: SocketAddr,
//!     #[command(flatten)]
//!     security: SecurityArgs,
//!     #[command(flatten)]
//!     serving: ServingArgs,
//! }
//!
//! fn run(options: &Options) -> Result<ListenOptions, Box<dyn std::error::Error>> {
//!     let security: Security = options.security.security()?; // also for `connect`
//!     Ok(options.serving.listen(options.listen, &security)) // for `Server::bind`
//! }
//!
//! // A program's `main` calls `config::parse::<Options>()`, and returns `error.report()` where that fails.
//! let environment = Environment::of([("PELTON_CONNECTIONS_MAX", "64"), ("HOME", "/root")]);
//! let options: Options = config::parse_from(["program", "--listen", "[::1]:7400"], &environment)?;
//! let listen = run(&options)?;
//! assert_eq!((listen.address, listen.limits.connections_max), ("[::1]:7400".parse()?, 64));
//!
//! let error = config::parse_from::<Options>(["program"], &Environment::of([("PELTON_LISTEM", "x")])).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "environment variable PELTON_LISTEM: there is no option listem; did you mean listen?"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arguments;
mod error;
mod layers;
mod options;

pub use arguments::{SecurityArgs, SecurityArgsError, ServingArgs};
pub use error::ConfigError;
pub use layers::Environment;

use clap::{CommandFactory, FromArgMatches};
use layers::{Known, Settings, Unknown};
use std::ffi::OsString;

/// The options of this process.
///
/// # Errors
/// [`ConfigError`], also where only help or the version was asked for: [`ConfigError::report`] does what is to be
/// done.
pub fn parse<P: CommandFactory + FromArgMatches>() -> Result<P, ConfigError> {
    parse_from(std::env::args_os(), &Environment::of_process())
}

/// The options of this process, which runs beside another one and has its environment or file: keys that are no
/// option of this one are passed over.
///
/// # Errors
/// As [`parse`], but for unknown keys.
pub fn parse_beside_another<P: CommandFactory + FromArgMatches>() -> Result<P, ConfigError> {
    read(std::env::args_os().collect(), &Environment::of_process(), Unknown::PassedOver)
}

/// The options that a command line, its program's name first, and an environment give.
///
/// # Errors
/// As [`parse`].
pub fn parse_from<P: CommandFactory + FromArgMatches>(
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
    environment: &Environment,
) -> Result<P, ConfigError> {
    read(arguments.into_iter().map(Into::into).collect(), environment, Unknown::Refused)
}

fn read<P: CommandFactory + FromArgMatches>(
    arguments: Vec<OsString>,
    environment: &Environment,
    unknown: Unknown,
) -> Result<P, ConfigError> {
    let command = options::with_config(P::command());
    let known = Known { options: options::known(&command), unknown };
    let file = options::config_file(&arguments).or_else(|| environment.config_file());
    let settings = Settings::read(file.as_deref(), environment, &known)?;
    let command = options::with_defaults(command, &settings)?;
    let matches = command.try_get_matches_from(&arguments);
    let parsed = matches.and_then(|matches| P::from_arg_matches(&matches));
    parsed.map_err(|error| options::with_origin(error, &settings, &arguments))
}
