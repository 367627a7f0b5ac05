//! What workers cost the service: a report through its own path, and a new plan when a worker joins.
//!
//! `cargo run --release -p pelton-injector --example service_cost`
//!
//! *Report*: decoding the message, turning it into a value, and taking it into an [`Injector`], 500 to a message, as the
//! service does; what it keeps for people beside that is a look-up more. *First* and *join*: what the membership does when the
//! first of eight workers joins, and when a ninth does, until there is nothing more to do but wait for workers. Times
//! are of the processor.

mod measuring;

use measuring::{resident_kb, timed};
use pelton_domain::{KeyInterval, Name, ProcessingTime, Sequencer};
use pelton_injector::membership::{Action, Hello, IntervalReign, Limits, Membership, SessionId};
use pelton_injector::service::measure::Reporting;
use pelton_injector::{Assignment, Graph, Injector, InjectorOptions, Node, Worker};
use pelton_proto::Message;
use pelton_proto::injector as proto;
use pelton_statestore::PipelineKeys;
use pelton_statestore::memory::Memory;
use std::sync::Arc;
use std::time::Duration;

/// Reports per measurement, and in one message.
const REPORTS: usize = 1_000_000;
const REPORTS_PER_MESSAGE: usize = 500;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    println!(
        "{:>9} {:>12} {:>12} {:>12} {:>12} {:>14}",
        "intervals", "report", "first", "join", "tick", "memory"
    );
    for intervals in [1_000u32, 10_000, 100_000, 500_000] {
        let before_kb = resident_kb();
        let report = measure_reports(intervals).await?;
        let memory_kb = resident_kb().saturating_sub(before_kb);
        let (first, join, tick) = measure_joins(intervals);
        println!(
            "{intervals:>9} {:>9} ns {:>9} us {:>9} us {:>9} ns {memory_kb:>10} KiB",
            report.as_nanos() / REPORTS as u128,
            first.as_micros(),
            join.as_micros(),
            tick.as_nanos(),
        );
    }
    Ok(())
}

async fn measure_reports(intervals: u32) -> anyhow::Result<Duration> {
    let name = Name::new("measured")?;
    let graph = Graph::new([Node { computation: 1, name: name.clone(), producers: Vec::new() }])?;
    let options = InjectorOptions::new(Arc::new(|| ProcessingTime::from_secs(0)));
    let (store, keys) = (Arc::new(Memory::new()), PipelineKeys::new(&name));
    let tokens = pelton_statestore::fence::random_tokens();
    let (injector, driver) = Injector::start(store, keys, graph, tokens, options).await?;
    let driver = tokio::spawn(driver);
    let new = KeyInterval::partition(intervals).into_iter().map(|interval| (interval, "w".into())).collect();
    let assigned = injector.assign(1, new).await?;
    let ids: Vec<proto::IntervalId> =
        assigned.iter().map(|assigned| interval_id(&assigned.assignment)).collect();
    drop(assigned);
    let mut reporting = Reporting::new(injector);
    let mut spent = Duration::ZERO;
    for message in 0..REPORTS / REPORTS_PER_MESSAGE {
        let bytes = reports(&ids, message).encode_to_vec();
        let (taken, time) = timed(|| reporting.take_in(&bytes));
        anyhow::ensure!(taken == Some(REPORTS_PER_MESSAGE), "{taken:?} reports were accepted");
        spent += time;
        tokio::task::yield_now().await;
    }
    driver.abort();
    Ok(spent)
}

fn reports(ids: &[proto::IntervalId], message: usize) -> proto::Reports {
    let report = |number: usize| {
        let secs = (number / ids.len()) as i64 + 1;
        proto::Report {
            interval: ids.get(number % ids.len()).copied(),
            low_watermark_us: secs * 1_000_000,
            oldest_unacknowledged_ms: secs as u64 * 1_000,
            holder: "timer".to_owned(),
            holder_key: Some("a key of some length".into()),
            busy_permille: 10,
            memory_bytes: 1 << 20,
            totals: Some(proto::Totals { records: number as u64, ..Default::default() }),
            held: Some(proto::Held { timers: 3, ..Default::default() }),
        }
    };
    let from = message * REPORTS_PER_MESSAGE;
    proto::Reports { reports: (from..from + REPORTS_PER_MESSAGE).map(report).collect() }
}

fn interval_id(assignment: &Assignment) -> proto::IntervalId {
    proto::IntervalId {
        computation: 1,
        first_position: assignment.interval.first().0,
        last_position: assignment.interval.last().0,
        sequencer: assignment.sequencer.get(),
    }
}

fn measure_joins(intervals: u32) -> (Duration, Duration, Duration) {
    let now = Duration::from_secs(1);
    let limits =
        Limits { take_overs_max: usize::MAX, lease: Duration::from_secs(3_600), ..Limits::default() };
    let mut membership = Membership::new(limits, Duration::ZERO);
    membership.set_graph(1, [1], Duration::ZERO);
    let nobody = KeyInterval::partition(intervals).into_iter().map(|interval| (interval, None));
    membership.restore(1, nobody, Duration::ZERO);
    let ((), first) = timed(|| {
        for number in 1..=8 {
            join(&mut membership, number, now);
        }
        settle(&mut membership, now + Duration::from_secs(1));
    });
    join(&mut membership, 9, now + Duration::from_secs(2));
    // The plan and the first stops; what the workers then do is theirs.
    let ((), ninth) = timed(|| membership.tick(now + Duration::from_secs(3)));
    let at = now + Duration::from_secs(3);
    let ((), ticks) = timed(|| (0..1_000).for_each(|_| membership.tick(at)));
    (first, ninth, ticks / 1_000)
}

fn join(membership: &mut Membership, number: u8, now: Duration) {
    let hello = Hello {
        session: SessionId(number.into()),
        worker: Worker::from(format!("w{number}")),
        process: [number; 16],
        address: "h:1".to_owned(),
        graph_version: 1,
        computations: [1].into(),
        running: Vec::new(),
    };
    if let Err(refused) = membership.join(hello, now) {
        unreachable!("{refused}");
    }
}

/// Every assignment is journaled and run at once.
fn settle(membership: &mut Membership, now: Duration) {
    let mut next = 0;
    loop {
        membership.tick(now);
        let actions = membership.actions();
        if actions.is_empty() {
            return;
        }
        for action in actions {
            let Action::Assign { computation, intervals } = action else { continue };
            for (interval, worker) in intervals {
                next += 1;
                let Some(sequencer) = Sequencer::new(next) else { continue };
                let assignment = Assignment { interval, sequencer, worker };
                if let Some(session) = membership.assigned(computation, &assignment) {
                    membership.running(session, vec![IntervalReign { computation, interval, sequencer }]);
                }
            }
        }
    }
}
