//! A chain of stages as a pipeline's own program, whose last word is when each record passed: what
//! `services_bench` measures with.
//!
//! `ticks` sends a record of each key every few milliseconds, at event time "now"; each of the stages passes it on.
//! Each stage appends a line to `LOG.STAGE` for each record: key, when it was sent, now, and the input
//! watermark, in microseconds. All processes are on one machine and read one clock.

use clap::Args;
use pelton::{
    Computation, Context, Declaration, EventTime, Failure, Fired, Input, Key, Pipeline, Step, Stream, Timer,
    cli,
};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Args)]
struct Arguments {
    /// How many stages behind the first.
    #[arg(long, default_value_t = 1)]
    stages: usize,
    /// How many keys.
    #[arg(long, default_value_t = 8)]
    keys: u64,
    /// Milliseconds between two records of a key.
    #[arg(long, default_value_t = 20)]
    every_ms: u64,
    /// The beginning of the files' names.
    #[arg(long)]
    log: String,
}

/// Sends a record of its key again and again.
#[derive(Clone)]
struct Ticks {
    out: Arc<Stream<i64>>,
    every: Duration,
}

impl Computation for Ticks {
    type Input = i64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.output(&self.out);
    }

    async fn process(&mut self, _: &mut Context<'_>, _: Input<i64>) -> Result<(), Failure> {
        Ok(())
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        let now = cx.now();
        let at = EventTime::from_micros(now.as_micros());
        cx.emit(&self.out, cx.key().clone(), at, &now.as_micros())?;
        cx.set_timer(Timer::processing("tick", now.plus(self.every)).output_at(at))
    }
}

/// Passes every record on, and notes that it came.
#[derive(Clone)]
struct Pass {
    out: Option<Arc<Stream<i64>>>,
    log: Arc<Mutex<File>>,
}

impl Computation for Pass {
    type Input = i64;

    fn declare(&self, declaration: &mut Declaration) {
        if let Some(out) = &self.out {
            declaration.output(out.as_ref());
        }
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<i64>) -> Result<(), Failure> {
        let (now, watermark) = (cx.now().as_micros(), cx.input_watermark().as_micros());
        let line = format!("{} {} {now} {watermark}\n", input.key, input.value);
        let written = self.log.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
        written.map_err(|error| Failure::permanent(error.to_string()))?;
        match &self.out {
            Some(out) => cx.emit(out, input.key, input.event_time, &input.value),
            None => Ok(()),
        }
    }
}

fn main() -> ExitCode {
    cli::main(build)
}

fn build(arguments: &Arguments) -> anyhow::Result<Pipeline> {
    let streams: Vec<Arc<Stream<i64>>> =
        (0..=arguments.stages).map(|at| Arc::new(Stream::named(format!("s{at}")))).collect();
    let mut pipeline = Pipeline::builder("chain");
    let ticks = Ticks {
        out: streams.first().cloned().ok_or_else(|| anyhow::anyhow!("there are stages"))?,
        every: Duration::from_millis(arguments.every_ms),
    };
    let mut step = Step::new("ticks", ticks);
    for key in 0..arguments.keys {
        step = step.starts_with_key(Key::from(format!("key-{key}")));
    }
    pipeline = pipeline.with(step);
    for stage in 1..=arguments.stages {
        let file = format!("{}.{stage}", arguments.log);
        let log = OpenOptions::new().create(true).append(true).open(file)?;
        let out = streams.get(stage).filter(|_| stage < arguments.stages).cloned();
        let pass = Pass { out, log: Arc::new(Mutex::new(log)) };
        let Some(input) = streams.get(stage - 1) else { continue };
        pipeline = pipeline.with(Step::new(format!("stage-{stage}"), pass).reads(input));
    }
    Ok(pipeline.build()?)
}
