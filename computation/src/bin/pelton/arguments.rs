//! The command line.

use clap::{Parser, Subcommand};
use pelton_transport::config::SecurityArgs;

/// Looks at a running Pelton pipeline and operates it.
#[derive(Debug, Parser)]
#[command(
    name = "pelton",
    version,
    after_help = "verify, recordings and replay are commands of the pipeline's own program: they need its code."
)]
pub(crate) struct Arguments {
    /// The addresses of the pipeline's injectors, with commas between them.
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT,..",
        value_delimiter = ',',
        default_value = "127.0.0.1:4200"
    )]
    pub(crate) injectors: Vec<String>,

    /// Print JSON, for programs.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) security: SecurityArgs,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Who leads, how many workers and intervals there are, and whether everything is done.
    Status,
    /// Each computation: how far it is and what it has done.
    Computations,
    /// Each interval: its owner, its watermark and what holds it.
    Intervals {
        /// Only those of this computation.
        computation: Option<String>,
    },
    /// Each worker: where it is and how much it does.
    Workers,
    /// The low watermark of each computation.
    Watermarks {
        /// Say who holds each, and since when.
        #[arg(long)]
        why: bool,
    },
    /// Wait until the pipeline is done: every watermark at plus infinity, and no timer or parked record left.
    Wait {
        /// Give up after so many seconds.
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<u64>,
    },
    /// The timers of a computation that are set, or those of one key.
    Timers {
        /// Which computation.
        computation: String,
        /// Which key: text, or 0x and hexadecimal digits.
        #[arg(long)]
        key: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        count: u32,
    },
    /// The state of one key, as of one commit.
    State {
        /// Which computation.
        computation: String,
        /// Which key: text, or 0x and hexadecimal digits.
        key: String,
    },
    /// Move every interval away from a worker, which then ends.
    Drain {
        /// Its name.
        worker: String,
    },
    /// Records that were given up.
    DeadLetters {
        #[command(subcommand)]
        command: DeadLetters,
    },
    /// Completions for a shell, to standard output.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// List them.
    List {
        /// Which computation.
        computation: String,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        count: u32,
    },
    /// Show those of one key in full.
    Show {
        /// Which computation.
        computation: String,
        /// Which key: text, or 0x and hexadecimal digits.
        key: String,
    },
    /// Send them all through the computation again, each once.
    Replay {
        /// Which computation.
        computation: String,
    },
}
