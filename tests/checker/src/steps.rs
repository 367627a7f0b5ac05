//! I2 and I12, from the steps of each key: none is missing or twice, and each begins where the one before it ended.

use crate::Invariant::{I2, I12};
use crate::journal::{Entry, Node};
use crate::{Verdict, require};
use std::collections::HashMap;

/// How many steps each key has made, and the state that the last of them left.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps(HashMap<Node, (u64, u64)>);

impl Steps {
    pub(crate) fn entry(&mut self, node: Node, entry: &Entry) -> Verdict {
        let (steps, state) = self.0.entry(node).or_default();
        require(entry.step == *steps, I2, || {
            format!(
                "{node}: step {} comes where step {steps} must: one is lost, or committed twice",
                entry.step
            )
        })?;
        require(entry.before == *state, I12, || {
            format!(
                "{node}, step {}: it found the state {:016x}, and the step before had left {state:016x}",
                entry.step, entry.before
            )
        })?;
        let after = entry.cause.follow(*state);
        require(entry.after == after, I12, || {
            format!(
                "{node}, step {}: it left the state {:016x}, and by its cause it is {after:016x}: {:?}",
                entry.step, entry.after, entry.cause
            )
        })?;
        *steps += 1;
        *state = after;
        Ok(())
    }

    /// The steps of a key, and its state.
    pub(crate) fn of(&self, node: Node) -> (u64, u64) {
        self.0.get(&node).copied().unwrap_or_default()
    }
}
