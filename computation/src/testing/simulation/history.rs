//! What happened in a simulation, in order: a checker may read it, and its digest tells whether two runs were the same.

use super::network::Place;
use super::time::Virtual;
use crate::engine::letter::{Letter, LetterContent};
use bytes::Bytes;
use pelton_statestore::{Commit, Write};
use std::fmt;
use std::hash::Hasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use xxhash_rust::xxh3::Xxh3;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A commit was applied by the store.
    Commit(Commit),
    /// An interval sends another one something.
    Letter(Letter),
    /// A process began, ended, was paused, and so on: in words.
    Process(Place, String),
    /// A fault that the simulation made, in words.
    Fault(String),
}

/// Everything that happened, with its time.
#[derive(Clone, Default)]
pub struct History(Arc<Mutex<Recorded>>);

#[derive(Default)]
struct Recorded {
    now: Virtual,
    events: Vec<(Virtual, Event)>,
    digest: Xxh3,
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "History({} events)", self.recorded().events.len())
    }
}

impl History {
    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_now(&self, now: Virtual) {
        self.recorded().now = now;
    }

    /// Something goes from one process to another. How many bytes it is does not count: HTTP's `date` header is of the
    /// machine's clock, and there or not.
    pub(crate) fn packet(&self, (from, to): (Place, Place), at: Virtual) {
        let mut recorded = self.recorded();
        recorded.digest.write(&[from, to]);
        recorded.digest.write_u128(at.as_micros());
    }

    pub(crate) fn add(&self, event: Event) {
        let mut recorded = self.recorded();
        let now = recorded.now;
        recorded.digest.write_u128(now.as_micros());
        match &event {
            Event::Commit(commit) => digest_commit(&mut recorded.digest, commit),
            Event::Letter(letter) => digest_letter(&mut recorded.digest, letter),
            Event::Process(place, words) => {
                recorded.digest.write_u8(*place);
                recorded.digest.write(words.as_bytes());
            }
            Event::Fault(words) => recorded.digest.write(words.as_bytes()),
        }
        tracing::debug!(now_ms = now.as_millis(), "{event}");
        recorded.events.push((now, event));
    }

    /// Every event, in order.
    #[must_use]
    pub fn events(&self) -> Vec<(Virtual, Event)> {
        self.recorded().events.clone()
    }

    /// Two histories with the same digest are the same, byte for byte.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.recorded().digest.digest()
    }
}

fn digest_commit(digest: &mut Xxh3, commit: &Commit) {
    let mut put = |bytes: &Bytes| {
        digest.write_usize(bytes.len());
        digest.write(bytes);
    };
    for write in &commit.writes {
        match write {
            Write::Put { key, value } => {
                put(key);
                put(value);
            }
            Write::Delete { key } => put(key),
            Write::DeleteRange { range } => {
                put(&range.start);
                put(&range.end);
            }
        }
    }
}

fn digest_letter(digest: &mut Xxh3, letter: &Letter) {
    for party in [letter.from, letter.to] {
        digest.write_u32(party.computation);
        digest.write_u64(party.first.0);
        digest.write_u64(party.sequencer.get());
    }
    digest.write_u64(letter.epoch);
    match &letter.content {
        LetterContent::Delivery { number, records } => {
            digest.write_u64(*number);
            records.iter().for_each(|(_, record)| digest.write(&record.id.to_bytes()));
        }
        LetterContent::Acknowledgement { number } => digest.write_u64(!*number),
        LetterContent::Refusal => digest.write_u8(0),
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(commit) => write!(f, "a commit of {} writes", commit.writes.len()),
            Self::Letter(Letter { from, to, content, .. }) => write!(f, "{from:?} to {to:?}: {content:?}"),
            Self::Process(place, words) => write!(f, "process {place} {words}"),
            Self::Fault(words) => f.write_str(words),
        }
    }
}
