//! Bloom filters that grow: when one is full, a larger one is added behind it.

use bloomfilter::Bloom;
use pelton_domain::RecordId;

/// How often a filter may say "perhaps" of an id it has never seen.
const FALSE_POSITIVES: f64 = 0.001;
const FIRST_CAPACITY: usize = 4096;
const CAPACITY_MAX: usize = 1 << 20;
/// The seed of every filter: a fixed one, so that a replay asks the store the same questions.
const SEED: [u8; 32] = *b"pelton dedup filter, version one";

/// The filters of one bucket.
#[derive(Debug, Default)]
pub(super) struct FilterChain {
    filters: Vec<Filter>,
}

struct Filter {
    bloom: Bloom<[u8; 16]>,
    count: usize,
    capacity: usize,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Filter({} of {})", self.count, self.capacity)
    }
}

impl Filter {
    fn new(capacity: usize) -> Option<Self> {
        let bloom = Bloom::new_for_fp_rate_with_seed(capacity, FALSE_POSITIVES, &SEED).ok()?;
        Some(Self { bloom, count: 0, capacity })
    }
}

impl FilterChain {
    pub(super) fn insert(&mut self, id: RecordId) {
        let full = self.filters.last().is_none_or(|filter| filter.count >= filter.capacity);
        if full {
            let next = self.filters.last().map_or(FIRST_CAPACITY, |f| (f.capacity * 4).min(CAPACITY_MAX));
            self.filters.extend(Filter::new(next));
        }
        if let Some(filter) = self.filters.last_mut() {
            filter.bloom.set(&id.to_bytes());
            filter.count += 1;
        }
    }

    pub(super) fn may_contain(&self, id: RecordId) -> bool {
        let id = id.to_bytes();
        self.filters.iter().any(|filter| filter.bloom.check(&id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_domain::{Sequencer, SystemTime};

    #[test]
    fn it_never_forgets_and_is_rarely_wrong() {
        let id = |i: u32| {
            RecordId::assigned(SystemTime::from_millis(u64::from(i) / 7), Sequencer::new(9).unwrap(), i)
        };
        let mut chain = FilterChain::default();
        (0..30_000).for_each(|i| chain.insert(id(i)));
        assert!((0..30_000).all(|i| chain.may_contain(id(i))));
        let wrong = (30_000..60_000).filter(|i| chain.may_contain(id(*i))).count();
        assert!(wrong < 30_000 / 100, "{wrong} of 30,000 unseen ids looked seen");
    }
}
