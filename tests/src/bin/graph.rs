//! A random graph as a pipeline's own program: what `graphs_run` and the tests start as services.

use clap::Args;
use pelton::{Pipeline, cli};
use pelton_tests::graphs::RandomGraph;
use std::process::ExitCode;

#[derive(Debug, Args)]
struct Arguments {
    /// Which graph.
    #[arg(long)]
    graph: u64,
    /// So many times the records.
    #[arg(long, default_value_t = 1)]
    longer: u64,
}

fn main() -> ExitCode {
    cli::main(build)
}

#[expect(clippy::unnecessary_wraps, reason = "what a program's pipeline is built by")]
fn build(arguments: &Arguments) -> anyhow::Result<Pipeline> {
    Ok(RandomGraph::of(arguments.graph).longer(arguments.longer).pipeline())
}
