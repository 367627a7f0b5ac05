//! The logs of a published stream, read from the store by whoever serves it.
//!
//! A page is a snapshot, and a log has no gap: so where the record that is due is not the first of a page, it has expired,
//! and that is said, never passed over (I10).

use super::super::{Hosted, Shared};
use crate::publish::ledger::Ledger;
use crate::publish::log::{LEDGER_CELL, read_ledger};
use crate::publish::partition::Partitions;
use crate::publish::published_name;
use crate::publish::token::{Of, Token, life};
use bytes::Bytes;
use pelton_domain::Key;
use pelton_proto::subscribe::{PublishedRecord, subscribe_request::From};
use pelton_proto::{convert, store};
use pelton_statestore::{ComputationKeys, ReadError, Scan, StoreHandle};
use std::time::Duration;
use tonic::Status;

/// How often a read is tried while the store is away, and the wait between two attempts; then the client is told.
const ATTEMPTS_MAX: u32 = 20;
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// The logs of one published stream.
#[derive(Clone)]
pub(super) struct Logs {
    store: StoreHandle,
    keys: ComputationKeys,
    /// The keys of the logs.
    names: Vec<Key>,
    of: Of,
    partitions: Partitions,
}

/// What one answer may still hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Logs {
    /// The logs that a computation keeps; `None` where it keeps none.
    pub(super) fn of(shared: &Shared, hosted: &Hosted) -> Option<Self> {
        let partitions = hosted.grown.as_ref()?.partitions();
        let names = partitions.keys();
        let of = Of {
            pipeline: shared.name.to_string(),
            stream: published_name(hosted.spec.name.as_str()).to_owned(),
            computation: hosted.spec.number,
            incarnation: life(shared.store.incarnation()),
            partitions: u32::try_from(names.len()).unwrap_or(u32::MAX),
        };
        Some(Self { store: shared.store.clone(), keys: hosted.keys.clone(), names, of, partitions })
    }

    /// The number of the computation that keeps them.
    pub(super) fn computation(&self) -> u32 {
        self.of.computation
    }

    pub(super) fn partitions(&self) -> Partitions {
        self.partitions
    }

    /// The keys under which they are kept.
    pub(super) fn names(&self) -> &[Key] {
        &self.names
    }

    pub(super) fn token(&self, next: &[u64]) -> Bytes {
        Token { of: self.of.clone(), next: next.to_vec() }.encode()
    }

    /// What each log knows of itself.
    pub(super) async fn ledgers(&self) -> Result<Vec<Ledger>, Status> {
        let place = |name: &Key| self.keys.state(name, &[], LEDGER_CELL.as_bytes(), &[]);
        let places: Vec<Bytes> = self.names.iter().map(place).collect();
        let mut attempts = 0;
        let stored = loop {
            match self.store.read(places.clone()).await {
                Ok(stored) => break stored,
                Err(error) => again(error, &mut attempts).await?,
            }
        };
        stored.iter().map(|stored| read_ledger(stored.as_ref()).map_err(|error| damaged(&error))).collect()
    }

    /// The next offset of each partition for a call that begins at `from`.
    pub(super) async fn place(&self, from: From) -> Result<Vec<u64>, Status> {
        let given = match &from {
            From::Token(token) => {
                Some(Token::read(token, &self.of).map_err(|bad| match bad.is_of_another() {
                    true => Status::failed_precondition(bad.to_string()),
                    false => Status::invalid_argument(bad.to_string()),
                })?)
            }
            From::Earliest(_) | From::Latest(_) => None,
        };
        let ledgers = self.ledgers().await?;
        let Some(given) = given else {
            let place = |ledger: &Ledger| match from {
                From::Earliest(_) => ledger.first,
                _ => ledger.next,
            };
            return Ok(ledgers.iter().map(place).collect());
        };
        for (partition, (ledger, next)) in ledgers.iter().zip(&given).enumerate() {
            if *next > ledger.next {
                return Err(Status::failed_precondition(format!(
                    "the token is at {next} of partition {partition}, which ends at {}: the store was set back; begin \
                     with the earliest or the latest record",
                    ledger.next
                )));
            }
            if *next < ledger.first {
                return Err(expired(partition, *next, ledger.first));
            }
        }
        Ok(given)
    }

    /// Records of a partition from `from` on, as many as there is room for; at least one.
    pub(super) async fn read(
        &self,
        partition: usize,
        from: u64,
        room: &mut Room,
    ) -> Result<Vec<PublishedRecord>, Status> {
        let Some(name) = self.names.get(partition) else { return Ok(Vec::new()) };
        let range = self.keys.published_between(name, from, u64::MAX);
        let scan = Scan { range, entries_max: room.records.max(1), bytes_max: room.bytes.max(1) };
        let mut attempts = 0;
        let page = loop {
            match self.store.scan(scan.clone()).await {
                Ok(page) => break page,
                Err(error) => again(error, &mut attempts).await?,
            }
        };
        let mut records = Vec::with_capacity(page.entries.len());
        for (due, (place, stored)) in (from..).zip(page.entries) {
            let (_, offset) = self.keys.read_published(&place).map_err(|error| damaged(&error))?;
            if offset != due {
                break;
            }
            room.records = room.records.saturating_sub(1);
            room.bytes = room.bytes.saturating_sub(stored.len());
            let stored: store::Published =
                convert::decode("published record", &stored).map_err(|error| damaged(&error))?;
            records.push(record(stored, partition, offset));
        }
        if records.is_empty() {
            let first = self.ledgers().await?.get(partition).map_or(from, |ledger| ledger.first);
            return Err(expired(partition, from, first.max(from + 1)));
        }
        Ok(records)
    }
}

fn record(stored: store::Published, partition: usize, offset: u64) -> PublishedRecord {
    let store::Published { key, value, event_time_us } = stored;
    PublishedRecord {
        key,
        value,
        event_time_us,
        partition: u32::try_from(partition).unwrap_or(u32::MAX),
        offset,
    }
}

fn expired(partition: usize, from: u64, first: u64) -> Status {
    Status::out_of_range(format!(
        "{} records of partition {partition}, from {from} on, have expired: they are not kept any more; begin with the \
         earliest or the latest record",
        first - from
    ))
}

fn damaged(error: &dyn std::fmt::Display) -> Status {
    Status::data_loss(format!("the store is damaged: {error}"))
}

/// Whether to read again: while the store is away, for a while.
async fn again(error: ReadError, attempts: &mut u32) -> Result<(), Status> {
    *attempts += 1;
    if *attempts >= ATTEMPTS_MAX || matches!(error, ReadError::Fatal(_)) {
        return Err(Status::unavailable(error.to_string()));
    }
    tokio::time::sleep(RETRY_DELAY).await;
    Ok(())
}
