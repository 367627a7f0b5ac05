//! The injector: the central authority of one pipeline. It says who owns which interval, and how far the low
//! watermarks and dedup horizons have come.
//!
//! | module | what | I/O |
//! |---|---|---|
//! | [`graph`] | who produces for whom; a consumer's input watermark and horizon | none |
//! | [`report`] | what an interval's owner reports: [`IntervalReport`], [`Holder`], [`Load`] | none |
//! | [`aggregate`] | reports into announced values (I7), incrementally; who holds a watermark | none |
//! | [`assign`] | intervals over workers, splits and merges | none |
//! | [`announced`] | what stands announced: [`Announced`], [`AnnouncedTable`] | none |
//! | [`sequencers`] | the counter every sequencer is taken from (I1) | store |
//! | [`leader`] | the leader's own fence (I3, I7) | store |
//! | [`injector`] | the running authority: [`Injector`] and the future that drives it | store, tokio |
//! | [`membership`] | workers, the intervals they own, and moves under way | none |
//! | [`election`] | when a standby takes the lead | none |
//! | [`service`] | all of it over gRPC: `pelton.injector.v1` | store, network |
//!
//! Using it:
//!
//! ```no_run
//! # use pelton_injector::*;
//! # use pelton_domain::*;
//! # use pelton_statestore::{PipelineKeys, StoreHandle};
//! # async fn example(store: StoreHandle, clock: Clock, name: Name, graph: Graph) -> anyhow::Result<()> {
//! let tokens = pelton_statestore::fence::random_tokens();
//! let options = InjectorOptions::new(clock);
//! let (injector, driver) = Injector::start(store, PipelineKeys::new(&name), graph, tokens, options).await?;
//! // Spawn `driver`, or drive it beside your own work; it ends with the reason.
//!
//! let mut tables = injector.subscribe();
//! let assigned = injector.assign(1, vec![(KeyInterval::FULL, Worker::from("w1"))]).await?;
//! // For each: statestore's `take_over(.., assignment.interval, assignment.sequencer, vec![require], ..)`, scan,
//! // and only then the first report.
//! for Assigned { assignment, require: _, announced: _ } in assigned {
//!     injector.report(IntervalReport {
//!         computation: 1,
//!         interval: assignment.interval,
//!         sequencer: assignment.sequencer,
//!         low_watermark: EventTime::from_secs(10),
//!         oldest_unacknowledged: SystemTime::from_millis(10_000),
//!         holder: None,
//!         load: Load::default(),
//!     })?;
//! }
//! while tables.changed().await.is_ok() {
//!     let table = tables.borrow_and_update().clone();
//!     let input = injector.graph().input_watermark(2, &table);
//!     let horizon = injector.graph().horizon(2, &table);
//!     if let Some(end) = table.end() {
//!         println!("no more after {input} and {horizon}: {end}");
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! An [`Injector`] opens no ports, reads no clock and spawns nothing: inside one process that is all there is. For many
//! processes [`service`] stands before it, in the binary `pelton-injector`; it is given its clocks too, answers on the
//! port it is given, and spawns one task for each worker's stream.

pub mod aggregate;
pub mod announced;
pub mod assign;
pub mod election;
pub mod end;
pub mod graph;
pub mod injector;
pub mod leader;
pub mod membership;
pub mod options;
pub mod report;
pub mod sequencers;
pub mod service;

mod backoff;
mod driver;
mod instruments;
mod journal;
#[cfg(test)]
mod simulated;

pub use aggregate::{Aggregate, Cause, Explanation, IntervalView, Place, Proposal, ReassignRefused};
pub use announced::{Announced, AnnouncedTable};
pub use assign::{Assignment, Worker};
pub use end::End;
pub use graph::{Graph, GraphError, Node};
pub use injector::{AssignError, Assigned, Injector};
pub use journal::StartError;
pub use leader::{Leader, LeaderError};
pub use options::{Clock, InjectorOptions};
pub use report::{Accepted, Holder, HolderKind, IntervalReport, Load, ReportRefused};
pub use sequencers::Sequencers;
