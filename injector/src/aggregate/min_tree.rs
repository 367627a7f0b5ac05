//! The minimum of many values that change one at a time: a tournament in an array.
//!
//! Slots are the leaves of a complete binary tree whose inner nodes hold the lesser of their children, so a
//! change costs at most one step per level, and none above the first level where nothing changes.
//! Free slots hold [`Announced::MOST`], which never wins.

#![expect(
    clippy::indexing_slicing,
    reason = "`nodes` holds 2 * leaves entries, and every index is made from a slot below `leaves` or from a node's number"
)]

use crate::announced::Announced;

/// A tournament over numbered slots. Node 1 is the root; node `i` has the children `2i` and `2i + 1`.
#[derive(Clone, Debug)]
pub(super) struct MinTree {
    nodes: Vec<Announced>,
    leaves: usize,
}

impl MinTree {
    /// A tree with room for one slot.
    pub(super) fn new() -> Self {
        Self { nodes: vec![Announced::MOST; 2], leaves: 1 }
    }

    /// Sets a slot; the tree grows to hold it.
    pub(super) fn set(&mut self, slot: usize, value: Announced) {
        if slot >= self.leaves {
            self.grow(slot + 1);
        }
        let mut node = self.leaves + slot;
        self.nodes[node] = value;
        while node > 1 {
            node /= 2;
            let least = self.nodes[2 * node].least_of(self.nodes[2 * node + 1]);
            if self.nodes[node] == least {
                return;
            }
            self.nodes[node] = least;
        }
    }

    /// The least of each value over all slots.
    pub(super) fn min(&self) -> Announced {
        self.nodes[1]
    }

    /// The value of a slot.
    pub(super) fn get(&self, slot: usize) -> Announced {
        if slot < self.leaves { self.nodes[self.leaves + slot] } else { Announced::MOST }
    }

    /// The lowest slot that holds the least low watermark.
    pub(super) fn slot_of_least_watermark(&self) -> usize {
        let least = self.min().low_watermark;
        let mut node = 1;
        while node < self.leaves {
            node *= 2;
            if self.nodes[node].low_watermark != least {
                node += 1;
            }
        }
        node - self.leaves
    }

    fn grow(&mut self, slots: usize) {
        let leaves = slots.next_power_of_two();
        let mut nodes = vec![Announced::MOST; 2 * leaves];
        nodes[leaves..leaves + self.leaves].copy_from_slice(&self.nodes[self.leaves..]);
        for node in (1..leaves).rev() {
            nodes[node] = nodes[2 * node].least_of(nodes[2 * node + 1]);
        }
        (self.nodes, self.leaves) = (nodes, leaves);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_domain::{EventTime, SystemTime};
    use proptest::prelude::*;

    fn value(secs: i64, ms: u64) -> Announced {
        Announced {
            low_watermark: EventTime::from_secs(secs),
            oldest_unacknowledged: SystemTime::from_millis(ms),
        }
    }

    proptest! {
        #[test]
        fn the_root_is_the_least_of_all_slots(sets in prop::collection::vec((0usize..70, -9i64..9, 0u64..9), 1..200)) {
            let mut tree = MinTree::new();
            let mut slots = vec![Announced::MOST; 70];
            for (slot, secs, ms) in sets {
                tree.set(slot, value(secs, ms));
                slots[slot] = value(secs, ms);
                let least = slots.iter().fold(Announced::MOST, |a, b| a.least_of(*b));
                prop_assert_eq!(tree.min(), least);
                let first = slots.iter().position(|v| v.low_watermark == least.low_watermark);
                prop_assert_eq!(Some(tree.slot_of_least_watermark()), first);
                prop_assert_eq!(tree.get(slot), value(secs, ms));
            }
        }
    }

    #[test]
    fn an_empty_tree_holds_nothing_back() {
        assert_eq!(MinTree::new().min(), Announced::MOST);
        assert_eq!(MinTree::new().get(5), Announced::MOST);
    }
}
