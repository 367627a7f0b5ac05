//! Testing user code, on the engine itself.
//!
//! [`Harness`] drives one computation by hand: a test pushes records, moves the watermark and the clock, and
//! reads state, timers and output. It re-implements nothing. The computation runs in the engine's own interval
//! (admission, bundles, timers, retries, commits under the fence) on a store in memory, its watermarks go
//! through the injector, and what crashes is taken over and read from the store as any interval is. Three
//! things are different, so that a test says what happens and when:
//!
//! * the loop that waits for whatever comes next is left out: every call of the harness runs the interval's
//!   steps until nothing is left to do, and between two calls nothing runs;
//! * the clock stands still until it is moved;
//! * what is pushed comes from a producer, and what is produced goes to a consumer, that the harness plays.
//!   They use the engine's outbox and channels, so a crash is followed by the resending that would follow it.
//!
//! | module | noun |
//! |---|---|
//! | `harness` | what a test holds in its hand |
//! | `builder` | how it is made |
//! | `read` | state, timers and failures, as the next call would see them |
//! | `view` | what it shows |
//! | `error` | what was wrong, and what to do |
//! | `world` | the interval with all that is around it, and "until nothing is left to do" |
//! | `outside` | the producer before the computation and the consumer behind it |
//! | `hold` | commits, held between "it has run" and "it is durable" |
//! | `blocking` | calls that wait, from any thread |

mod blocking;
mod builder;
mod error;
mod harness;
mod hold;
mod outside;
mod read;
pub mod simulation;
mod view;
mod world;

pub use builder::HarnessBuilder;
pub use error::HarnessError;
pub use harness::Harness;
pub use view::{KeyFailure, Output, SetTimer, TimerAt};

#[cfg(test)]
mod tests;
