//! Cases of windowing with the panes that another implementation of the Beam model gives for them, and the
//! operator held against them.
//!
//! | module | noun |
//! |---|---|
//! | [`format`](mod@format) | a case as it is written, a line of JSON |
//! | [`strategy`] | how its windows are and fire, as it is written |
//! | [`run`] | a case through the engine, and what is different |
//!
//! A case has `window`, `trigger`, `accumulation`, `timestamp_combiner`, `allowed_lateness` (seconds) and `steps`, all
//! for one key. A step is `{"element": value, "at": seconds}` or `{"watermark": seconds}`, with `panes`: what fires in
//! that step, in any order.

pub mod format;
pub mod run;
pub mod strategy;
