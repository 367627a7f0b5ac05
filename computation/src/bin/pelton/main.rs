//! `pelton`: the operator's command for a running pipeline.
//!
//! | module | what |
//! |---|---|
//! | `arguments` | the command line |
//! | `connection` | finding the injector in charge, and workers through it |
//! | `look` | status, computations, intervals, workers, watermarks |
//! | `keys` | timers, state, dead letters |
//! | `table` | rows for people |
//!
//! Exit codes: 0 done; 1 an error, or for `wait` a pipeline that is not done in time; 2 a wrong command line; 3
//! no injector leads, or a worker cannot be reached: try again; 4 there is no such computation, worker or key.

mod arguments;
mod connection;
mod failure;
mod keys;
mod look;
mod table;

use arguments::{Arguments, Command};
use clap::CommandFactory;
use connection::Connection;
use failure::Failure;
use pelton_transport::config;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Arguments = match config::parse_beside_another() {
        Ok(arguments) => arguments,
        Err(error) => return error.report(),
    };
    pelton::cli::log_to_stderr();
    match perform(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn perform(arguments: Arguments) -> Result<(), Failure> {
    let json = arguments.json;
    if let Command::Completions { shell } = arguments.command {
        clap_complete::generate(shell, &mut Arguments::command(), "pelton", &mut std::io::stdout());
        return Ok(());
    }
    let mut connection = Connection::new(arguments.injectors, &arguments.security)?;
    match arguments.command {
        Command::Completions { .. } => Ok(()),
        Command::Status => look::status(&mut connection, json).await,
        Command::Computations => look::computations(&mut connection, json).await,
        Command::Intervals { computation } => look::intervals(&mut connection, computation, json).await,
        Command::Workers => look::workers(&mut connection, json).await,
        Command::Watermarks { why } => look::watermarks(&mut connection, why, json).await,
        Command::Wait { timeout } => look::wait(&mut connection, timeout).await,
        Command::Drain { worker } => look::drain(&mut connection, worker, json).await,
        Command::Timers { computation, key, count } => {
            keys::timers(&mut connection, computation, key, count, json).await
        }
        Command::State { computation, key } => keys::state(&mut connection, computation, key, json).await,
        Command::DeadLetters { command } => keys::dead_letters(&mut connection, command, json).await,
    }
}
