//! A pipeline that changes while it runs, as a program of its own; `--code` says which version of it this is.
//!
//! Sources send numbers 0, 1, 2.. to each of their keys. Both versions count them by key into `counts.jsonl`. The
//! second has renamed that computation, has dropped `audit`, which was too slow and let records wait, and
//! has a new computation, `mirror`, which writes each number that it gets into `mirrored.jsonl`. Another second version
//! has one more source instead, `extra`. The other versions are mistakes, and the way back.

use clap::{Args, ValueEnum};
use pelton::{
    Computation, Context, Declaration, EventTime, Failure, Fired, Input, JsonLinesSink, Pipeline, Step,
    Stream, Timer, Value, cli,
};
use pelton_tests::evolving::{Counted, Mirrored};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Args)]
struct Arguments {
    /// Which version of the code.
    #[arg(long, value_enum, default_value = "first")]
    code: Code,
    /// Where the files go.
    #[arg(long)]
    output: PathBuf,
    /// How many numbers each key gets.
    #[arg(long, default_value_t = 500)]
    numbers: u64,
    /// How many keys each source has.
    #[arg(long, default_value_t = 4)]
    keys: u64,
    /// How many sources.
    #[arg(long, default_value_t = 4)]
    sources: u64,
    /// Milliseconds between two numbers of a key.
    #[arg(long, default_value_t = 20)]
    every_ms: u64,
    /// From this number on they come more slowly.
    #[arg(long, default_value_t = u64::MAX)]
    slow_from: u64,
    /// Milliseconds between two numbers then.
    #[arg(long, default_value_t = 200)]
    slow_every_ms: u64,
    /// How long counting a number takes, in microseconds.
    #[arg(long, default_value_t = 0)]
    count_us: u64,
    /// How long auditing a number takes, in milliseconds.
    #[arg(long, default_value_t = 20)]
    audit_ms: u64,
    /// Note in this file when each number was counted.
    #[arg(long)]
    log: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Code {
    First,
    Second,
    /// The first, with one more source of the same stream.
    Joined,
    /// Has dropped a computation, and does not say so.
    Forgetful,
    /// Renames a computation to the name of another.
    Onto,
    /// Renames a computation that there never was.
    OfNothing,
    /// Has a computation that it declares as removed.
    Contradicting,
    /// The first again, on purpose.
    Back,
}

static NUMBERS: Stream<u64> = Stream::new("numbers");
static COUNTS: Stream<Counted> = Stream::new("counts");
static MIRRORED: Stream<Mirrored> = Stream::new("mirrored");

static NEXT: Value<u64> = Value::new("next");

/// Sends its keys one number after the other.
#[derive(Clone)]
struct Numbers {
    numbers: u64,
    keys: u64,
    every: Duration,
    slow_from: u64,
    slow_every: Duration,
}

impl Computation for Numbers {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&NEXT).output(&NUMBERS);
    }

    async fn process(&mut self, _: &mut Context<'_>, _: Input<u64>) -> Result<(), Failure> {
        Ok(())
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        let number = NEXT.get(cx).await?.unwrap_or(0);
        let source = cx.key().to_string();
        for key in 0..self.keys {
            cx.emit(&NUMBERS, format!("{source}-{key}"), at(number), &number)?;
        }
        NEXT.set(cx, &(number + 1))?;
        if number + 1 < self.numbers {
            let every = if number < self.slow_from { self.every } else { self.slow_every };
            cx.set_timer(Timer::after("next", every).output_at(at(number + 1)))?;
        }
        Ok(())
    }
}

/// The event time of a number: a millisecond each.
fn at(number: u64) -> EventTime {
    EventTime::from_micros(i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(1000))
}

static COUNT: Value<u64> = Value::new("count");

/// Counts the numbers of a key.
#[derive(Clone)]
struct Count {
    takes: Duration,
    log: Option<Arc<Mutex<File>>>,
}

impl Computation for Count {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&COUNT).output(&COUNTS);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        let count = COUNT.get(cx).await?.unwrap_or(0) + 1;
        COUNT.set(cx, &count)?;
        if let Some(log) = &self.log {
            let line = format!("{} {} {}\n", input.key, input.value, cx.now().as_micros());
            let written = log.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
            written.map_err(Failure::retry)?;
        }
        let counted = Counted { key: input.key.to_string(), number: input.value, count };
        cx.emit(&COUNTS, input.key, input.event_time, &counted)
    }
}

static AUDITED: Value<u64> = Value::new("audited");

/// Looks at every number, slowly.
#[derive(Clone)]
struct Audit {
    takes: Duration,
}

impl Computation for Audit {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&AUDITED);
    }

    async fn process(&mut self, cx: &mut Context<'_>, _: Input<u64>) -> Result<(), Failure> {
        tokio::time::sleep(self.takes).await;
        let audited = AUDITED.get(cx).await?.unwrap_or(0);
        AUDITED.set(cx, &(audited + 1))
    }
}

/// Writes down what it gets.
#[derive(Clone)]
struct Mirror;

impl Computation for Mirror {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.output(&MIRRORED);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        let mirrored = Mirrored { key: input.key.to_string(), number: input.value };
        cx.emit(&MIRRORED, input.key, input.event_time, &mirrored)
    }
}

fn main() -> ExitCode {
    cli::main(build)
}

fn build(arguments: &Arguments) -> anyhow::Result<Pipeline> {
    let Arguments { code, numbers, keys, sources, output, .. } = arguments;
    let numbers = Numbers {
        numbers: *numbers,
        keys: *keys,
        every: Duration::from_millis(arguments.every_ms),
        slow_from: arguments.slow_from,
        slow_every: Duration::from_millis(arguments.slow_every_ms),
    };
    let extra = Step::new("extra", numbers.clone()).starts_with_key("extra-0").intervals(1);
    let mut source = Step::new("numbers", numbers).intervals(4);
    for at in 0..*sources {
        source = source.starts_with_key(format!("source-{at}"));
    }
    let log = arguments.log.as_ref().map(|log| OpenOptions::new().create(true).append(true).open(log));
    let takes = Duration::from_micros(arguments.count_us);
    let count = Count { takes, log: log.transpose()?.map(|log| Arc::new(Mutex::new(log))) };
    let audit =
        || Step::new("audit", Audit { takes: Duration::from_millis(arguments.audit_ms) }).reads(&NUMBERS);
    let is_first = matches!(code, Code::First | Code::Joined | Code::Back | Code::Onto);
    let counting = if is_first { "count" } else { "tally" };
    let mut pipeline = Pipeline::builder("evolving")
        .with(source)
        .with(Step::new(counting, count).reads(&NUMBERS))
        .with(JsonLinesSink::new(output.join("counts.jsonl"), &COUNTS));
    if matches!(code, Code::First | Code::Joined | Code::Back | Code::Contradicting) {
        pipeline = pipeline.with(audit());
    }
    if *code == Code::Joined {
        pipeline = pipeline.with(extra);
    }
    if !is_first {
        let sink = JsonLinesSink::new(output.join("mirrored.jsonl"), &MIRRORED);
        pipeline = pipeline.with(Step::new("mirror", Mirror).reads(&NUMBERS)).with(sink);
    }
    Ok(changed(pipeline, *code).build()?)
}

/// What the version says that it has changed.
fn changed(pipeline: pelton::PipelineBuilder, code: Code) -> pelton::PipelineBuilder {
    match code {
        Code::First | Code::Joined => pipeline,
        Code::Second | Code::Contradicting => pipeline.renames("count", "tally").removes("audit"),
        Code::Forgetful => pipeline.renames("count", "tally"),
        Code::Onto => pipeline.renames("audit", "count"),
        Code::OfNothing => pipeline.renames("cuont", "tally").removes("audit"),
        Code::Back => ["mirror", "mirrored.format", "mirrored.write"]
            .into_iter()
            .fold(pipeline.renames("tally", "count").revision(1), |pipeline, gone| pipeline.removes(gone)),
    }
}
