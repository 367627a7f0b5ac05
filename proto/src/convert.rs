//! From stored messages to domain types and back.
//!
//! A message that cannot be a domain value is [`Malformed`], never a panic and never a guess.

use crate::store;
use bytes::Bytes;
use pelton_domain::{AttemptToken, EventTime, Incarnation, Key, KeyInterval, KeyPosition, Record, RecordId};
use uuid::Uuid;

/// A stored message that says something impossible: the store is damaged, or was written by other software.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {message}: {reason}")]
pub struct Malformed {
    /// Which kind of message.
    pub message: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl Malformed {
    /// A malformed `message`, because of `reason`.
    #[must_use]
    pub fn new(message: &'static str, reason: impl Into<String>) -> Self {
        Self { message, reason: reason.into() }
    }
}

/// Decodes a stored message.
///
/// # Errors
/// [`Malformed`] where the bytes are not one.
pub fn decode<M: prost::Message + Default>(message: &'static str, bytes: &[u8]) -> Result<M, Malformed> {
    M::decode(bytes).map_err(|error| Malformed::new(message, error.to_string()))
}

fn sixteen(message: &'static str, bytes: &[u8]) -> Result<[u8; 16], Malformed> {
    bytes.try_into().map_err(|_| Malformed::new(message, format!("{} bytes where 16 are due", bytes.len())))
}

/// A record id from its 16 bytes.
///
/// # Errors
/// [`Malformed`] where they are no id.
pub fn record_id(bytes: &[u8]) -> Result<RecordId, Malformed> {
    RecordId::from_bytes(sixteen("record id", bytes)?)
        .ok_or_else(|| Malformed::new("record id", "not a version 7 UUID"))
}

/// An attempt token from its 16 bytes.
///
/// # Errors
/// [`Malformed`] where they are not 16.
pub fn attempt_token(bytes: &[u8]) -> Result<AttemptToken, Malformed> {
    Ok(AttemptToken(u128::from_be_bytes(sixteen("attempt token", bytes)?)))
}

/// An incarnation from its 16 bytes.
///
/// # Errors
/// [`Malformed`] where they are not 16.
pub fn incarnation(bytes: &[u8]) -> Result<Incarnation, Malformed> {
    Ok(Incarnation(Uuid::from_bytes(sixteen("incarnation", bytes)?)))
}

/// An interval from its first and last position.
///
/// # Errors
/// [`Malformed`] where it would be empty.
pub fn interval(first: u64, last: u64) -> Result<KeyInterval, Malformed> {
    KeyInterval::new(KeyPosition(first), KeyPosition(last))
        .ok_or_else(|| Malformed::new("interval", format!("{first:#x} is after {last:#x}")))
}

impl store::Production {
    /// The production of `record` for the stream numbered `stream`.
    #[must_use]
    pub fn of(stream: u32, producer_key: &Key, record: &Record) -> Self {
        Self {
            stream,
            producer_key: producer_key.to_bytes(),
            id: Bytes::copy_from_slice(&record.id.to_bytes()),
            key: record.key.to_bytes(),
            value: record.value.clone(),
            event_time_us: record.event_time.as_micros(),
        }
    }

    /// The record in it.
    ///
    /// # Errors
    /// [`Malformed`] where its id is none.
    pub fn to_record(&self) -> Result<Record, Malformed> {
        Ok(Record {
            id: record_id(&self.id)?,
            key: Key::new(self.key.clone()),
            value: self.value.clone(),
            event_time: EventTime::from_micros(self.event_time_us),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_domain::{Sequencer, SystemTime};
    use proptest::prelude::*;
    use prost::Message;

    proptest! {
        #[test]
        fn a_production_survives_the_round_trip(
            stream: u32, producer: Vec<u8>, key: Vec<u8>, value: Vec<u8>, at: i64, ms in 0u64..1 << 48, counter: u32,
        ) {
            let record = Record {
                id: RecordId::assigned(SystemTime::from_millis(ms), Sequencer::new(7).unwrap(), counter),
                key: Key::from(key),
                value: value.into(),
                event_time: EventTime::from_micros(at),
            };
            let stored = store::Production::of(stream, &Key::from(producer), &record);
            let read = store::Production::decode(stored.encode_to_vec().as_slice()).unwrap();
            prop_assert_eq!(&read, &stored);
            prop_assert_eq!(read.to_record().unwrap(), record);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode::<store::Fence>("fence", &bytes);
            let _ = decode::<store::OutboxChunk>("outbox chunk", &bytes).map(|c| c.productions.iter().map(store::Production::to_record).count());
        }
    }

    #[test]
    fn a_wrong_length_is_malformed_with_its_length() {
        assert!(record_id(&[1, 2, 3]).unwrap_err().to_string().contains("3 bytes where 16 are due"));
        assert!(record_id(&[0; 16]).unwrap_err().to_string().contains("version 7"));
        assert!(interval(2, 1).is_err());
    }
}
