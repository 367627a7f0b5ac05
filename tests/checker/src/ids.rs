//! I6, from the ids themselves: none that is older than a promise, none forgotten that may still be sent.

use crate::Invariant::I6;
use crate::delivery::Deliveries;
use crate::event::{Commit, Row};
use crate::graph::Graph;
use crate::{Verdict, require};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What is remembered, and what has been promised.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    remembered: BTreeMap<Row, (u16, Vec<u128>)>,
    /// Every id that was ever journaled.
    journaled: HashSet<u128>,
    promised_ms: HashMap<u16, u64>,
}

/// The system time that an id carries.
fn system_time_ms(id: u128) -> u64 {
    u64::try_from(id >> 80).unwrap_or(u64::MAX)
}

impl Ids {
    /// After the deliveries have taken the commit up.
    pub(crate) fn commit(&mut self, graph: &Graph, commit: &Commit, deliveries: &Deliveries) -> Verdict {
        for (_, producer, pending) in &commit.outbox {
            let promised = self.promised_ms.get(producer).copied().unwrap_or(0);
            for production in pending {
                // A split or merge writes again what was journaled before.
                let old = !self.journaled.insert(production.id);
                require(old || system_time_ms(production.id) >= promised, I6, || {
                    format!(
                        "{} has an id of {} ms, and it was promised that none below {promised} ms would come",
                        production.packet.origin,
                        system_time_ms(production.id)
                    )
                })?;
            }
        }
        for (row, computation, ids) in &commit.ids {
            self.remembered.insert(row.clone(), (*computation, ids.clone()));
        }
        for (start, end) in &commit.ids_removed {
            let rows: Vec<Row> =
                self.remembered.range(start.clone()..end.clone()).map(|(r, _)| r.clone()).collect();
            for (computation, ids) in rows.iter().filter_map(|row| self.remembered.remove(row)) {
                let waits = ids.iter().find_map(|id| deliveries.waits_for(graph, *id, computation));
                require(waits.is_none(), I6, || {
                    let origin = waits.map(|origin| origin.to_string()).unwrap_or_default();
                    format!(
                        "computation {computation} forgets the id of {origin}, which may still be sent to it"
                    )
                })?;
            }
        }
        for announced in &commit.announced {
            let promised = self.promised_ms.entry(announced.computation).or_default();
            require(announced.oldest_unacknowledged_ms >= *promised, I6, || {
                format!(
                    "what computation {} will not send goes back from {promised} ms to {} ms",
                    announced.computation, announced.oldest_unacknowledged_ms
                )
            })?;
            *promised = announced.oldest_unacknowledged_ms;
        }
        Ok(())
    }
}
