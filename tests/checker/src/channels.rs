//! I11: what is on its way over one channel stays within its credit.
//!
//! What the receiver has acknowledged counts as arrived, though the sender may not know yet: so this never takes a
//! sender for worse than it is.

use crate::Invariant::I11;
use crate::event::{Content, Letter, Party};
use crate::graph::Graph;
use crate::{Verdict, require};
use std::collections::{BTreeMap, HashMap};

/// For each channel, from whom to whom, its epoch, and the records of each delivery that is on its way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Channels(HashMap<(Party, Party), (u64, BTreeMap<u64, usize>)>);

impl Channels {
    pub(crate) fn letter(&mut self, graph: &Graph, letter: &Letter) -> Verdict {
        match &letter.content {
            Content::Delivery(records) => {
                let (epoch, under_way) = self.0.entry((letter.from, letter.to)).or_default();
                if *epoch != letter.epoch {
                    (*epoch, *under_way) = (letter.epoch, BTreeMap::new());
                }
                under_way.insert(letter.number, records.len());
                let sum: usize = under_way.values().sum();
                require(under_way.len() == 1 || sum <= graph.channel_records_max, I11, || {
                    format!(
                        "{sum} records are on their way from {:?} to {:?}, and at most {} may be",
                        letter.from, letter.to, graph.channel_records_max
                    )
                })
            }
            Content::Acknowledgement => {
                if let Some((epoch, under_way)) = self.0.get_mut(&(letter.to, letter.from))
                    && *epoch == letter.epoch
                {
                    under_way.remove(&letter.number);
                }
                Ok(())
            }
            Content::Refusal => Ok(()),
        }
    }
}
