//! Windows for the simulation, said with the fluent API: what is kept of them is the same however the watermark goes on.
//!
//! | name | what would show in it |
//! |---|---|
//! | `kinds` | a pane that is lost, repeated or of the wrong window; a watermark that passes a record |
//! | `sessions` | sessions that do not become one, or are told before all of them is there |
//! | `late` | a late record that is neither told nor refused, or both; one in time that is refused; wrong numbers of panes |
//! | `triggers` | a pane that is not taken back, or twice; one by the clock that is lost |
//!
//! Which records are late is said by the source, and which windows refuse them depends on the run; what must hold in
//! each run is in `ledgers`.

mod ledgers;
mod readings;

pub use ledgers::{Span, Tally};
pub use readings::{Reading, Readings};

use ledgers::{Listed, Netted, Numbered, panes, refused};
use pelton::flow::{Flow, Keyed, Records};
use pelton::source::{Source, SourceOptions};
use pelton::testing::simulation::Simulation;
use pelton::window::aggregators::{Count, Sum};
use pelton::window::{
    Accumulation, Aggregator, CalendarWindows, Closing, FixedWindows, GlobalWindow, Sessions, SlidingWindows,
    Trigger, WindowFn,
};
use pelton::{Pipeline, PipelineError};
use readings::READINGS;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
/// More than there is between any two readings.
const LONG: Duration = Duration::from_secs(30 * 86_400);
/// The readings of a key are an hour apart: where one is missing there are two sessions.
const GAP: Duration = Duration::from_secs(90 * 60);

/// Builds a workload's pipeline.
type Build = fn() -> Result<Pipeline, PipelineError>;

/// Every workload with windows, by name.
#[must_use]
pub fn workloads() -> Vec<(&'static str, Simulation)> {
    let all: [(_, Build); 4] =
        [("kinds", kinds), ("sessions", sessions), ("late", late), ("triggers", triggers)];
    all.map(|(name, build)| (name, Simulation::new(move || sound(build())))).into()
}

#[expect(clippy::expect_used, reason = "the flows are fixed")]
fn sound(pipeline: Result<Pipeline, PipelineError>) -> Pipeline {
    pipeline.expect("a sound flow")
}

fn read(flow: &Flow, late: bool) -> Records<'_, Reading> {
    flow.read(Source::new(Readings { late }, &READINGS, SourceOptions::named("readings")))
}

fn by_key<'f>(readings: &Records<'f, Reading>) -> Keyed<'f, Reading, String> {
    readings.key_as(Reading::key)
}

fn tally() -> impl Aggregator<Input = Reading, Accumulator = Tally, Output = Tally> {
    (Count::new(), Sum::<u64>::new().of(|reading: &Reading| reading.number))
}

/// Whether a reading is in one of the bursts of activity that sessions are about.
#[must_use]
pub fn is_in_burst(reading: &Reading) -> bool {
    reading.number / 24 % 3 != 2
}

/// The fixed windows of `kinds`.
#[must_use]
pub fn fixed() -> FixedWindows {
    FixedWindows::of(3 * HOUR).offset(HOUR / 2)
}

/// The sliding ones.
#[must_use]
pub fn sliding() -> SlidingWindows {
    SlidingWindows::of(4 * HOUR, HOUR)
}

/// The days.
#[must_use]
#[expect(clippy::expect_used, reason = "there is such a zone")]
pub fn days() -> CalendarWindows {
    CalendarWindows::days(1).in_zone("Europe/Berlin").expect("a zone")
}

/// The sessions, of all workloads.
#[must_use]
pub fn session_windows() -> Sessions {
    Sessions::with_gap(GAP)
}

/// All kinds of windows that do not merge, all records in time.
fn kinds() -> Result<Pipeline, PipelineError> {
    let flow = Flow::new("kinds");
    let all = read(&flow, false);
    let end = Trigger::after_watermark;
    let told = kind("fixed", &all, fixed(), end())
        .merge(&kind("sliding", &all, sliding(), end()))
        .merge(&kind("days", &all, days(), end()))
        .merge(&kind("threes", &all, GlobalWindow, Trigger::after_count(3).repeatedly()));
    told.key_as(|told| told.of.clone()).process("ledger", Listed);
    flow.build()
}

fn kind<'f>(
    name: &'static str,
    readings: &Records<'f, Reading>,
    windows: impl WindowFn<Reading>,
    trigger: Trigger,
) -> Records<'f, ledgers::Told> {
    panes(name, &by_key(readings).window(windows).trigger(trigger).aggregate(name, tally()))
}

/// Sessions out of order: a reading joins two, or comes before the first.
fn sessions() -> Result<Pipeline, PipelineError> {
    let flow = Flow::new("sessions");
    let bursts = read(&flow, false).filter(is_in_burst);
    let told = kind("sessions", &bursts, session_windows(), Trigger::after_watermark());
    told.key_as(|told| told.of.clone()).process("ledger", Listed);
    flow.build()
}

/// Late readings: windows that are patient take all of them, and those that are not tell or refuse each.
///
/// # Errors
/// None: the flow is sound.
pub fn late() -> Result<Pipeline, PipelineError> {
    let flow = Flow::new("late");
    let all = read(&flow, true);
    let strategy = |lateness, accumulation| {
        by_key(&all)
            .window(fixed())
            .trigger(Trigger::after_watermark().early(Trigger::after_count(2)).late(Trigger::after_count(1)))
            .allowed_lateness(lateness)
            .accumulation(accumulation)
            .closing(Closing::FireAlways)
    };
    for (name, accumulation, lateness) in
        [("patient", Accumulation::Accumulating, LONG), ("strict", Accumulation::Discarding, HOUR)]
    {
        let (told, left) = strategy(lateness, accumulation).aggregate_and_refuse(name, tally());
        let ledger = Numbered { accumulating: accumulation == Accumulation::Accumulating };
        let all = panes(name, &told).merge(&refused(name, &left));
        all.key_as(|told| told.of.clone()).process(format!("{name}-ledger"), ledger);
    }
    flow.build()
}

/// Panes that are taken back, by windows, by merging ones and by the clock; and the final ones.
fn triggers() -> Result<Pipeline, PipelineError> {
    let flow = Flow::new("triggers");
    let all = read(&flow, true);
    let bursts = all.filter(is_in_burst);
    let by_count = Trigger::after_count(2);
    let by_clock = Trigger::after_processing_time(Duration::from_millis(150));
    let windows = taken_back("fixed", &all, fixed(), by_count.clone());
    let joined = taken_back("sessions", &bursts, session_windows(), by_count);
    let clocked = taken_back("clocked", &all, sliding(), by_clock);
    let last = windows.suppress("last", LONG);
    let told = panes("fixed", &windows)
        .merge(&panes("sessions", &joined))
        .merge(&panes("clocked", &clocked))
        .merge(&panes("last", &last));
    told.key_as(|told| told.of.clone()).process("ledger", Netted);
    flow.build()
}

fn taken_back<'f>(
    name: &'static str,
    readings: &Records<'f, Reading>,
    windows: impl WindowFn<Reading>,
    early: Trigger,
) -> Records<'f, pelton::window::Pane<Tally>> {
    by_key(readings)
        .window(windows)
        .trigger(Trigger::after_watermark().early(early).late(Trigger::after_count(1)))
        .allowed_lateness(LONG)
        .accumulation(Accumulation::Retracting)
        .aggregate(name, tally())
}
