//! A HyperLogLog sketch of 4,096 registers: about how many different values there are.
//!
//! It is written here because its form is stored: it must not change with a dependency. The estimator is that of
//! Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), which needs no tables.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// So many bits of a hash choose the register.
const INDEX_BITS: u32 = 12;
const REGISTERS: usize = 1 << INDEX_BITS;
/// The greatest value of a register: one more than the bits that are left.
const RANK_MAX: u32 = 64 - INDEX_BITS + 1;
/// With more registers set than this, a list of them is larger than all of them.
const SPARSE_MAX: usize = REGISTERS / 3;

/// The registers: only those that are set, while these are few.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HyperLogLog {
    /// Those that are set.
    Sparse(BTreeMap<u16, u8>),
    /// All, in order.
    Dense(Vec<u8>),
}

impl HyperLogLog {
    pub(super) fn new() -> Self {
        Self::Sparse(BTreeMap::new())
    }

    /// Adds a value by its hash, of which all 64 bits must be good.
    pub(super) fn add(&mut self, hash: u64) {
        let (index, rest) = (hash % REGISTERS as u64, hash >> INDEX_BITS);
        let rank = (rest.leading_zeros() - INDEX_BITS + 1).min(RANK_MAX);
        self.raise(u16::try_from(index).unwrap_or_default(), u8::try_from(rank).unwrap_or_default());
    }

    /// Adds all that another one has seen.
    pub(super) fn merge(&mut self, other: Self) {
        match other {
            Self::Sparse(set) => set.into_iter().for_each(|(index, rank)| self.raise(index, rank)),
            Self::Dense(all) => {
                let ranked = (0..).zip(all).filter(|(_, rank)| *rank > 0);
                ranked.for_each(|(index, rank)| self.raise(index, rank));
            }
        }
    }

    fn raise(&mut self, index: u16, rank: u8) {
        match self {
            Self::Sparse(set) => {
                let register = set.entry(index).or_default();
                *register = rank.max(*register);
                if set.len() > SPARSE_MAX {
                    let all = (0..REGISTERS).map(|index| {
                        u16::try_from(index).ok().and_then(|index| set.get(&index).copied()).unwrap_or(0)
                    });
                    *self = Self::Dense(all.collect());
                }
            }
            Self::Dense(all) => {
                if let Some(register) = all.get_mut(usize::from(index)) {
                    *register = rank.max(*register);
                }
            }
        }
    }

    /// About how many different values have been added.
    #[expect(clippy::cast_precision_loss, reason = "there are 4,096 registers")]
    pub(super) fn estimate(&self) -> f64 {
        let mut counts = [0.0f64; RANK_MAX as usize + 1];
        let mut count = |rank: u8, registers: f64| {
            if let Some(count) = counts.get_mut(usize::from(rank)) {
                *count += registers;
            }
        };
        match self {
            Self::Sparse(set) => {
                set.values().for_each(|rank| count(*rank, 1.0));
                count(0, (REGISTERS - set.len()) as f64);
            }
            Self::Dense(all) => all.iter().for_each(|rank| count(*rank, 1.0)),
        }
        let registers = REGISTERS as f64;
        let [zero, ranks @ .., full] = counts;
        let mut sum = registers * tau(1.0 - full / registers);
        for count in ranks.into_iter().rev() {
            sum = 0.5 * (sum + count);
        }
        sum += registers * sigma(zero / registers);
        registers * registers / (2.0 * std::f64::consts::LN_2 * sum)
    }
}

/// The share of the empty registers in the sum. Infinite where all are.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

/// The share of the full registers in the sum.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}
