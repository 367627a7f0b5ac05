//! A published stream, and two who read it and go on with the token of the last answer wherever they are killed: one who
//! keeps up, and one who is slow.
//!
//! What would show, at the one who reads: a record that is missing or there twice, or out of the order of its key (I9,
//! I12), a gap between two offsets (I2), a record behind the watermark that was told (I7).

use super::numbers;
use crate::workload::{NUMBERS, at};
use pelton::client::{Begin, PublishedRecord, Received, SubscribeClient};
use pelton::codec::{Codec, Postcard};
use pelton::testing::simulation::{ClientError, ClientMachine, Simulation};
use pelton::{EventTime, Pipeline, Publish};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

const STREAM: &str = "numbers_outside";
/// Fewer than there are keys, so that a partition has several.
const PARTITIONS: u32 = 3;
/// How long who is slow takes over one answer.
const SLOWLY: Duration = Duration::from_millis(150);

#[must_use]
pub(super) fn published() -> Simulation {
    let simulation = Simulation::new(pipeline);
    let simulation = simulation.client(|here| read(here, Duration::ZERO));
    simulation.client(|here| read(here, SLOWLY))
}

#[expect(clippy::expect_used, reason = "the graph is fixed")]
fn pipeline() -> Pipeline {
    Pipeline::builder("published")
        .with(numbers())
        .with(Publish::new(STREAM, &NUMBERS).partitions(PARTITIONS))
        .build()
        .expect("a sound graph")
}

/// What was read so far: kept as a whole with each answer.
#[derive(Default, Serialize, Deserialize)]
struct Read {
    token: Option<Vec<u8>>,
    /// The next offset of each partition.
    next: BTreeMap<u32, u64>,
    /// The next number of each key.
    numbers: BTreeMap<u64, u64>,
    watermark_us: Option<i64>,
}

async fn read(here: ClientMachine, pause: Duration) -> Result<(), ClientError> {
    let kept = here.kept("read").map(|kept| serde_json::from_slice(&kept)).transpose()?;
    let mut read: Read = kept.unwrap_or_default();
    let begin = read.token.clone().map_or(Begin::Earliest, |token| Begin::Token(token.into()));
    let mut client = SubscribeClient::connect(here.workers(), STREAM, begin)?;
    while let Some(received) = client.next().await? {
        read.take(received)?;
        here.keep("read", serde_json::to_vec(&read)?);
        tokio::time::sleep(pause).await;
    }
    read.is_all()
}

impl Read {
    fn take(&mut self, received: Received) -> Result<(), ClientError> {
        let Received { records, token, watermark } = received;
        records.into_iter().try_for_each(|record| self.take_record(&record))?;
        self.token = Some(token.to_vec());
        self.watermark_us = self.watermark_us.max(watermark.map(EventTime::as_micros));
        Ok(())
    }

    fn take_record(&mut self, record: &PublishedRecord) -> Result<(), ClientError> {
        let number: u64 = Postcard::decode(&record.value)?;
        let key = u64::from_be_bytes(record.key.as_ref().try_into()?);
        let next = self.next.entry(record.partition).or_default();
        if record.offset != *next {
            return Err(format!("I2: {record:?} where offset {next} is due").into());
        }
        *next += 1;
        let due = self.numbers.entry(key).or_insert(key);
        if number != *due {
            return Err(format!("I9, I12: number {number} of key {key} where {due} is due").into());
        }
        *due += super::KEYS;
        if record.event_time != at(number) {
            return Err(format!("number {number} has the event time {:?}", record.event_time).into());
        }
        if self.watermark_us.is_some_and(|watermark| record.event_time.as_micros() < watermark) {
            return Err(format!("I7: {record:?} is behind the watermark {:?}", self.watermark_us).into());
        }
        Ok(())
    }

    fn is_all(&self) -> Result<(), ClientError> {
        let all: BTreeMap<u64, u64> = (0..super::KEYS).map(|key| (key, super::TOTAL + key)).collect();
        if self.numbers == all {
            return Ok(());
        }
        Err(format!("I12: it has ended, and what is due is {:?} instead of {all:?}", self.numbers).into())
    }
}
