//! `pelton.injector.v1.Injector`, served: one injector leads and the others stand by.
//!
//! | module | what |
//! |---|---|
//! | [`options`] | what it is given |
//! | `role` | standing by, taking the lead, losing it, for ever |
//! | `authority` | the one task that decides while it leads |
//! | `jobs` | what that task has under way in the store |
//! | `session` | one worker's stream |
//! | `hello` | who may join |
//! | `rpc` | the calls, turned into that task's events |
//! | `reporting`, [`measure`] | the path of a report, and a way to measure it |
//! | `board`, `status` | the last reports, and what is shown of them |
//! | `catalogue` | the graph, as workers wrote it |
//! | `wire` | messages to values and back |
//!
//! * I1: an interval is assigned in the journal before any worker hears of it, and what it hears holds the requirement
//!   that the assignment still stands.
//! * I7: all that is announced is what the [`Injector`](crate::Injector) underneath has journaled; a deposed one ends
//!   every session.
//! * I11: the mailbox, each session's queue, each message and the calls that wait are bounded.

mod authority;
mod board;
mod catalogue;
mod clocks;
mod events;
mod hello;
mod jobs;
pub mod measure;
pub mod options;
mod reporting;
mod role;
mod rpc;
mod session;
mod status;
mod wire;

pub use catalogue::CatalogueError;
pub use options::{Monotonic, ServiceOptions};
pub use role::{Role, ServiceError, run};
pub use rpc::InjectorService;
pub use status::explain;

/// Events that wait for the authority; more senders wait their turn (I11).
const MAILBOX_MAX: usize = 1_024;
/// The largest message that a worker may send.
const REQUEST_BYTES_MAX: usize = 4 << 20;
