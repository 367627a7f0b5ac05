//! Getting a fence: the first ones of a computation, and taking one over from whoever has it.

use super::Tokens;
use super::attempt::{AttemptError, FenceChange, pause};
use super::record::{Counters, Fence};
use super::reign::Reign;
use crate::keys::ComputationKeys;
use crate::store::{Commit, CommitError, Precondition, ReadError, Scan, StoreFault, StoreHandle, Write};
use bytes::Bytes;
use pelton_domain::{AttemptToken, CommitNumber, EventTime, Incarnation, KeyInterval, Sequencer, SystemTime};
use pelton_proto::Malformed;
use std::time::Duration;

/// Why an interval could not be taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TakeOverError {
    /// No fence has these bounds: the interval was split or merged, or never created. Ask the injector again.
    #[error("there is no interval {interval}")]
    NoSuchInterval {
        /// The bounds that were asked for.
        interval: KeyInterval,
    },
    /// A newer owner, or the end of the assignment, got there first. Ask the injector again.
    #[error("the take-over by {wanted} came too late: {} owns {interval}", current.map_or("nobody".to_owned(), |c| c.to_string()))]
    Superseded {
        /// Which interval.
        interval: KeyInterval,
        /// The sequencer that came too late.
        wanted: Sequencer,
        /// Who has it.
        current: Option<Sequencer>,
    },
    /// The interval was last written in another life of the store: it is a restored or cloned one.
    #[error(
        "the store is incarnation {store}, but {interval} was written in {written}: it was restored or cloned; start it only on purpose"
    )]
    OtherIncarnation {
        /// Which interval.
        interval: KeyInterval,
        /// The store's.
        store: Incarnation,
        /// The fence's.
        written: Incarnation,
    },
    /// The fence cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The store is broken or closed.
    #[error("the store failed: {0}")]
    Fatal(StoreFault),
}

/// Creates the fences of a computation that has none yet, together with `writes`, its first entries: the
/// intervals must cover every position. Where there are fences already, nothing changes. Either way, the
/// standing ones are returned.
///
/// # Errors
/// [`TakeOverError::Fatal`] or [`TakeOverError::Malformed`].
///
/// # Panics
/// Where `intervals` do not cover every position once (I1).
pub async fn create_fences(
    store: &StoreHandle,
    keys: &ComputationKeys,
    intervals: &[KeyInterval],
    writes: Vec<Write>,
    tokens: &Tokens,
) -> Result<Vec<Fence>, TakeOverError> {
    assert!(
        KeyInterval::is_partition_of(intervals, &[KeyInterval::FULL]),
        "I1: fences must cover every position"
    );
    let put = |interval: &KeyInterval| {
        let fence = Fence {
            interval: *interval,
            sequencer: None,
            commit_number: CommitNumber(0),
            token: tokens(),
            dedup_horizon: SystemTime::ZERO,
            input_watermark: EventTime::MIN,
            id_time_floor: SystemTime::ZERO,
            ancestors: Vec::new(),
            incarnation: store.incarnation(),
            counters: Counters::default(),
        };
        Write::Put { key: keys.fence(interval.last()), value: fence.encode() }
    };
    let commit = Commit {
        preconditions: vec![Precondition::Empty { range: keys.fences() }],
        writes: intervals.iter().map(put).chain(writes).collect(),
    };
    let mut backoff = Duration::from_millis(1);
    loop {
        match store.commit(commit.clone()).await {
            // An unknown outcome is no matter: if it landed, or another's did, the next attempt is refused.
            Ok(()) | Err(CommitError::Refused { .. }) => return read_fences(store, keys).await,
            Err(CommitError::Conflict) => {}
            Err(CommitError::Unknown(_) | CommitError::Unavailable(_)) => pause(&mut backoff).await,
            Err(error @ (CommitError::TooLarge { .. } | CommitError::Fatal(_))) => {
                return Err(TakeOverError::Fatal(StoreFault(error.to_string())));
            }
        }
    }
}

/// The fences of all intervals of a computation, in order.
///
/// # Errors
/// [`TakeOverError::Fatal`] or [`TakeOverError::Malformed`].
pub async fn read_fences(store: &StoreHandle, keys: &ComputationKeys) -> Result<Vec<Fence>, TakeOverError> {
    let mut fences = Vec::new();
    let mut range = keys.fences();
    let mut backoff = Duration::from_millis(1);
    loop {
        match store.scan(Scan::page_of(range.clone())).await {
            Ok(page) => {
                for (_, value) in &page.entries {
                    fences.push(Fence::decode(value)?);
                }
                match page.next {
                    Some(next) => range.start = next,
                    None => return Ok(fences),
                }
            }
            Err(ReadError::Unavailable(_)) => pause(&mut backoff).await,
            Err(ReadError::Fatal(fault)) => return Err(TakeOverError::Fatal(fault)),
        }
    }
}

/// Takes `interval` over under `sequencer`: when it returns, no commit of an older owner can succeed, not
/// even one already sent (I1). Scan the interval after that, not before.
///
/// `requires` holds what else must be so, such as the assignment of the interval to this worker.
///
/// # Errors
/// [`TakeOverError`], with nothing changed.
pub async fn take_over(
    store: &StoreHandle,
    keys: &ComputationKeys,
    interval: KeyInterval,
    sequencer: Sequencer,
    requires: Vec<Precondition>,
    tokens: &Tokens,
) -> Result<Reign, TakeOverError> {
    loop {
        let (before, bytes) = standing(store, keys, interval).await?;
        let late =
            |current: Option<Sequencer>| TakeOverError::Superseded { interval, wanted: sequencer, current };
        if !store.adopts(before.incarnation) {
            let (store, written) = (store.incarnation(), before.incarnation);
            return Err(TakeOverError::OtherIncarnation { interval, store, written });
        }
        if before.sequencer >= Some(sequencer) {
            return Err(late(before.sequencer));
        }
        let change = FenceChange {
            store: store.clone(),
            keys: keys.clone(),
            tokens: tokens.clone(),
            before: vec![(before.clone(), bytes)],
            requires: requires.clone(),
            writes: Vec::new(),
        };
        let next = |token: AttemptToken| {
            let fence = before.after_commit(&before.unchanged(), token);
            // From here on it is of this life, wherever it was written.
            vec![Fence { sequencer: Some(sequencer), incarnation: store.incarnation(), ..fence }]
        };
        match change.perform(next).await {
            Ok(mut fences) => {
                let Some((fence, encoded)) = fences.pop() else { continue };
                return Ok(Reign {
                    store: store.clone(),
                    keys: keys.clone(),
                    tokens: tokens.clone(),
                    fence,
                    encoded,
                    sequencer,
                    interrupted: false,
                });
            }
            // The old owner committed meanwhile: look again. Anything else is final.
            Err(AttemptError::Refused { current: Some(current) })
                if current.interval == interval && current.token != before.token => {}
            Err(AttemptError::Refused { current }) => {
                return Err(late(current.and_then(|fence| fence.sequencer)));
            }
            Err(AttemptError::TooLarge { what, size_bytes, limit_bytes }) => {
                let fault = format!("a {what} of {size_bytes} bytes is over the limit of {limit_bytes}");
                return Err(TakeOverError::Fatal(StoreFault(fault)));
            }
            Err(AttemptError::Fatal(fault)) => return Err(TakeOverError::Fatal(fault)),
        }
    }
}

/// The fence that stands for exactly `interval`, with its bytes.
async fn standing(
    store: &StoreHandle,
    keys: &ComputationKeys,
    interval: KeyInterval,
) -> Result<(Fence, Bytes), TakeOverError> {
    let mut backoff = Duration::from_millis(1);
    loop {
        match store.read(vec![keys.fence(interval.last())]).await {
            Ok(values) => {
                let Some(bytes) = values.into_iter().next().flatten() else {
                    return Err(TakeOverError::NoSuchInterval { interval });
                };
                let fence = Fence::decode(&bytes)?;
                if fence.interval != interval {
                    return Err(TakeOverError::NoSuchInterval { interval });
                }
                return Ok((fence, bytes));
            }
            Err(ReadError::Unavailable(_)) => pause(&mut backoff).await,
            Err(ReadError::Fatal(fault)) => return Err(TakeOverError::Fatal(fault)),
        }
    }
}
