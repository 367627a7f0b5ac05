//! Windows and triggers: the time semantics of the Beam model, on keyed state, timers and holds.
//!
//! A window is a range of event time; a trigger says when what has come into it is told, as a pane. What a window
//! keeps is an accumulator, not its records. All of it is state of the key: exactly-once, and gone when the window
//! can take nothing any more.
//!
//! | module | noun | keeps |
//! |---|---|---|
//! | `bounds` | a window | |
//! | `assign`, `sessions`, `calendar` | which windows a record falls into, and which become one | I12 |
//! | `trigger` | when a window fires; pure state machines | I12 |
//! | `strategy` | accumulation, lateness, closing, time of panes | |
//! | `pane` | what comes out, and what is refused | I10 |
//! | `aggregator`, [`aggregators`] | how records become a value | |
//! | `state` | what is kept of a window; pure | I7 |
//! | `live` | the windows of a key that may merge | |
//! | `kept` | the windows of a key in its state | I2, I7 |
//! | `operator` | all of it, as a computation | I2, I7, I8, I10 |
//! | `builder`, `options` | how a windowed step is said | |

pub mod aggregators;

mod aggregator;
mod assign;
mod bounds;
mod builder;
mod calendar;
mod kept;
mod live;
mod operator;
pub(crate) mod options;
mod pane;
mod sessions;
mod state;
mod strategy;
mod trigger;

pub use aggregator::Aggregator;
pub use assign::{
    AssignError, FixedWindows, GlobalWindow, Merge, SlidingWindows, WINDOWS_PER_RECORD_MAX, WindowFn,
};
pub use bounds::Window;
pub use builder::{Windowed, WindowedError};
pub use calendar::{CalendarError, CalendarWindows};
pub use live::LIVE_WINDOWS_MAX;
pub use operator::WindowOperator;
pub use pane::{Pane, PaneInfo, Refusal, Refused, Timing};
pub use sessions::{Sessions, merge_overlapping};
pub use strategy::{Accumulation, Closing, Delay, OnTime, Strategy, TimestampCombiner};
pub use trigger::{TRIGGER_DEPTH_MAX, Trigger, TriggerError};

#[cfg(test)]
mod tests;

/// The chapters of the book, whose examples are tested with the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../docs/src/windows.md")]
#[doc = include_str!("../../docs/src/windows-by-example.md")]
struct Chapter;
