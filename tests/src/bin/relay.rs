//! The smallest pipeline that takes records from outside and gives them to the outside: what it ingests as `lines`, it
//! publishes as `lines`.

use bytes::Bytes;
use clap::Args;
use pelton::codec::Raw;
use pelton::{Ingest, Pipeline, Stream, cli};
use std::process::ExitCode;

static LINES: Stream<Bytes, Raw> = Stream::new("lines");

#[derive(Debug, Args)]
struct Arguments {
    /// Into how many intervals clients are cut.
    #[arg(long, default_value_t = 3)]
    intervals: u32,
}

fn main() -> ExitCode {
    cli::main(|arguments: &Arguments| {
        let ingest = Ingest::new(&LINES).intervals(arguments.intervals);
        Pipeline::builder("relay").with(ingest).publish("lines", &LINES).build()
    })
}
