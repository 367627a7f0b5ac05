//! Fences whose value is known without reading them, each with the version at which it is known.
//!
//! A commit of ours that wrote the value X to a fence K had the version V. Let a later transaction have the read
//! version V and a read conflict on K, and commit at C. The cluster lets it through only if nobody wrote K after V
//! and before C, so K still holds X there: the same that reading K and comparing it would have said (I1). This
//! needs, and so has:
//!
//! 1. V comes from a transaction that committed, and whose last word on K was X.
//! 2. Nobody else wrote K at V itself, behind our commit in its batch: every write of a fence reads it with conflict
//!    (`mutation`), and then the cluster refuses the second of two in a batch.
//! 3. The commit requires exactly X of K, and nothing else.
//! 4. Whatever the cluster refuses is read and compared before it means anything: V may be too old, after five
//!    seconds or a recovery of the cluster; and the client itself writes a conflict on K to settle an unknown
//!    outcome.
//! 5. An entry is used once. It comes back only with the commit that used it, so nothing is left of an outcome that
//!    is unknown, refused or dropped.
//! 6. V is a version of the cluster that is asked (`client`).
//!
//! I11: at most [`ENTRIES_MAX`] entries, none used beyond [`AGE_MAX`].

use bytes::Bytes;
use foldhash::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One second before the cluster forgets what was written at a version.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(4);

const ENTRIES_MAX: usize = 65_536;

/// What is known of one fence.
#[derive(Clone, Debug)]
struct Known {
    value: Bytes,
    version: i64,
    /// When the commit was sent, so no later than its version.
    sent: Instant,
}

/// All that are known.
#[derive(Debug, Default)]
pub(crate) struct Warm(Mutex<HashMap<Bytes, Known>>);

impl Warm {
    fn lock(&self) -> MutexGuard<'_, HashMap<Bytes, Known>> {
        // One insert or remove at a time: a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is known of `fence`: the version at which it had the value `expected`, if it is known and young.
    pub(crate) fn take(&self, fence: &[u8], expected: &[u8], now: Instant) -> Option<i64> {
        let known = self.lock().remove(fence)?;
        (known.value == expected && is_young(&known, now)).then_some(known.version)
    }

    /// Says that the commit which was sent at `sent` had `version`, and left `value` in `fence`.
    pub(crate) fn remember(&self, fence: Bytes, value: Bytes, version: i64, sent: Instant) {
        let mut known = self.lock();
        if known.len() >= ENTRIES_MAX && !known.contains_key(&fence) {
            known.retain(|_, entry| is_young(entry, sent));
            if known.len() >= ENTRIES_MAX {
                return;
            }
        }
        known.insert(fence, Known { value, version, sent });
    }
}

fn is_young(known: &Known, now: Instant) -> bool {
    now.saturating_duration_since(known.sent) < AGE_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const FENCE: &[u8] = b"fence";

    fn warm(sent: Instant) -> Warm {
        let warm = Warm::default();
        warm.remember(Bytes::from_static(FENCE), Bytes::from_static(b"X"), 77, sent);
        warm
    }

    #[test]
    fn the_value_that_was_written_is_known_once() {
        let now = clock::now();
        let warm = warm(now);
        assert_eq!(warm.take(FENCE, b"X", now), Some(77));
        assert_eq!(warm.take(FENCE, b"X", now), None);
    }

    #[test]
    fn another_value_is_not_known_and_ends_the_knowledge() {
        let now = clock::now();
        let warm = warm(now);
        assert_eq!(warm.take(b"another", b"X", now), None);
        assert_eq!(warm.take(FENCE, b"Y", now), None);
        assert_eq!(warm.take(FENCE, b"X", now), None);
    }

    #[test]
    fn an_old_version_is_not_used() {
        let sent = clock::now();
        assert_eq!(warm(sent).take(FENCE, b"X", sent + AGE_MAX - Duration::from_millis(1)), Some(77));
        assert_eq!(warm(sent).take(FENCE, b"X", sent + AGE_MAX), None);
    }

    #[test]
    fn the_number_of_entries_is_bounded_and_old_ones_make_room() {
        let sent = clock::now();
        let warm = Warm::default();
        let fence = |number: usize| Bytes::from(number.to_be_bytes().to_vec());
        for number in 0..=ENTRIES_MAX {
            warm.remember(fence(number), Bytes::new(), 1, sent);
        }
        assert_eq!(warm.lock().len(), ENTRIES_MAX);
        assert_eq!(warm.take(&fence(ENTRIES_MAX), b"", sent), None);
        warm.remember(fence(0), Bytes::new(), 2, sent);
        assert_eq!(warm.take(&fence(0), b"", sent), Some(2), "one that is known is renewed");
        warm.remember(fence(0), Bytes::new(), 3, sent);
        warm.remember(fence(ENTRIES_MAX), Bytes::new(), 4, sent + AGE_MAX);
        assert_eq!(warm.lock().len(), 1, "the old ones are gone");
    }
}
