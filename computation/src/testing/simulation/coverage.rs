//! Which faults a number of runs really had: what was not there was not tried.

use super::FaultKind;
use std::collections::BTreeMap;
use std::fmt;

/// How many runs had each kind of fault, and each two kinds together.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Runs.
    pub runs: u64,
    /// Runs that had this kind.
    pub kinds: BTreeMap<FaultKind, u64>,
    /// Runs that had both, the lesser kind first.
    pub pairs: BTreeMap<(FaultKind, FaultKind), u64>,
}

impl Coverage {
    /// Takes up what one run had.
    pub fn add(&mut self, faults: &BTreeMap<FaultKind, u64>) {
        self.runs += 1;
        for kind in faults.keys() {
            *self.kinds.entry(*kind).or_default() += 1;
            for (other, _) in faults.range(..kind) {
                *self.pairs.entry((*other, *kind)).or_default() += 1;
            }
        }
    }

    /// Takes up what other runs had.
    pub fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        for (kind, runs) in &other.kinds {
            *self.kinds.entry(*kind).or_default() += runs;
        }
        for (pair, runs) in &other.pairs {
            *self.pairs.entry(*pair).or_default() += runs;
        }
    }

    /// The kinds, and the pairs of kinds, that no run had.
    #[must_use]
    pub fn missing(&self) -> (Vec<FaultKind>, Vec<(FaultKind, FaultKind)>) {
        let kinds = FaultKind::ALL.into_iter().filter(|kind| !self.kinds.contains_key(kind)).collect();
        let mut pairs = Vec::new();
        for (at, one) in FaultKind::ALL.iter().enumerate() {
            let others = FaultKind::ALL.iter().skip(at + 1).map(|other| (*one.min(other), *one.max(other)));
            pairs.extend(others.filter(|pair| !self.pairs.contains_key(pair)));
        }
        (kinds, pairs)
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} runs; of these had", self.runs)?;
        for (kind, runs) in &self.kinds {
            writeln!(f, "{runs:>8}  {kind}")?;
        }
        let (kinds, pairs) = self.missing();
        let all = FaultKind::ALL.len() * (FaultKind::ALL.len() - 1) / 2;
        let least = self.pairs.values().min().copied().unwrap_or(0);
        write!(
            f,
            "{} of {} kinds and {} of {all} pairs of kinds came up, the rarest pair in {least} runs",
            self.kinds.len(),
            self.kinds.len() + kinds.len(),
            all - pairs.len(),
        )
    }
}
