//! Dead letters: listed, and replayed.
//!
//! A replay is a transfer of the intervals themselves: each takes its own letters up, in the order in which
//! they were given up, and parks them under a new id at the end of their key's queue, in one commit with their
//! removal. So a letter is replayed once (I2), behind what is parked of its key, and may be late: its event time
//! is the old one, and what it meets is the watermark of now. It holds the output watermark until it is done.

use super::{Engine, Hosted};
use crate::engine::interval::task::Request;
use pelton_domain::{Key, KeyInterval, ProcessingTime};
use pelton_proto::{convert, store};
use pelton_statestore::{ReadError, Scan};
use std::sync::PoisonError;

/// A record that was given up, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDeadLetter {
    /// Its key.
    pub key: Key,
    /// Its place among the dead letters of its key.
    pub number: u64,
    /// Why it was given up.
    pub error: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up.
    pub failed_at: ProcessingTime,
    /// Its value.
    pub value: bytes::Bytes,
    /// Whether it came on a stream, so that it can be replayed. A malformed row or a timer did not.
    pub replayable: bool,
}

/// Why dead letters could not be read or replayed.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// There is no such computation.
    #[error("there is no computation {name:?}")]
    NoSuchComputation {
        /// The name that was given.
        name: String,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An entry cannot be read.
    #[error("a dead letter cannot be read: {0}")]
    Malformed(String),
    /// An interval is not running.
    #[error("an interval of {name} is not running: try again")]
    NotRunning {
        /// Whose.
        name: String,
    },
}

impl Engine {
    fn by_name(&self, name: &str) -> Result<&Hosted, DeadLetterError> {
        let hosted = self.shared.computations.values().find(|hosted| hosted.spec.name.as_str() == name);
        hosted.ok_or_else(|| DeadLetterError::NoSuchComputation { name: name.to_owned() })
    }

    /// The dead letters of a computation, at most `count`, by key position.
    ///
    /// # Errors
    /// [`DeadLetterError`].
    pub async fn dead_letters(
        &self,
        computation: &str,
        count: usize,
    ) -> Result<Vec<StoredDeadLetter>, DeadLetterError> {
        let hosted = self.by_name(computation)?;
        let (mut letters, mut range) = (Vec::new(), hosted.keys.dead_letters(KeyInterval::FULL));
        while letters.len() < count {
            let page = self.shared.store.scan(Scan::page_of(range.clone())).await?;
            for (place, value) in page.entries.into_iter().take(count - letters.len()) {
                letters.push(read(hosted, &place, &value)?);
            }
            match page.next {
                Some(next) => range.start = next,
                None => break,
            }
        }
        Ok(letters)
    }

    /// Replays every dead letter of a computation that is a record. Returns how many.
    ///
    /// # Errors
    /// [`DeadLetterError`]; what was replayed before it stays replayed.
    pub async fn replay_dead_letters(&self, computation: &str) -> Result<usize, DeadLetterError> {
        replay_in(self.by_name(computation)?).await
    }
}

/// Replays the dead letters of the intervals that run here. Returns how many.
pub(super) async fn replay_in(hosted: &Hosted) -> Result<usize, DeadLetterError> {
    let requests: Vec<_> = {
        let running = hosted.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.values().map(|running| running.requests.clone()).collect()
    };
    let mut replayed = 0;
    for requests in requests {
        let not_running = || DeadLetterError::NotRunning { name: hosted.spec.name.to_string() };
        let (reply, answer) = tokio::sync::oneshot::channel();
        requests.send(Request::ReplayDeadLetters(reply)).await.map_err(|_| not_running())?;
        replayed += answer.await.map_err(|_| not_running())?;
    }
    Ok(replayed)
}

pub(super) fn read(
    hosted: &Hosted,
    place: &bytes::Bytes,
    value: &bytes::Bytes,
) -> Result<StoredDeadLetter, DeadLetterError> {
    let malformed = |error: String| DeadLetterError::Malformed(error);
    let (key, number) = hosted.keys.read_dead_letter(place).map_err(|error| malformed(error.to_string()))?;
    let letter: store::DeadLetter =
        convert::decode("dead letter", value).map_err(|error| malformed(error.to_string()))?;
    Ok(StoredDeadLetter {
        key,
        number,
        replayable: letter.stream != 0 && !letter.id.is_empty(),
        error: letter.error,
        attempts: letter.attempts,
        failed_at: ProcessingTime::from_micros(letter.failed_at_us),
        value: letter.value,
    })
}
