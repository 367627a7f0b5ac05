//! Clients of the gRPC services by which records come from outside, see [`Ingest`](crate::Ingest), and go there, see
//! [`Publish`](crate::Publish).
//!
//! [`IngestClient`] sends again what was not answered, with the same ids and in the same order, to one worker after
//! another: so what it has appended is in the stream once. [`SubscribeClient`] goes on behind the last answer it has had.
//! Any other gRPC client can do the same; these know nothing more.

mod subscribe;

pub use subscribe::{Begin, PublishedRecord, Received, SubscribeClient, SubscribeError};

use bytes::Bytes;
use pelton_domain::EventTime;
use pelton_proto::ingest::ingest_client::IngestClient as Calls;
use pelton_proto::ingest::{AppendRequest, AppendResponse, FinishRequest, IngestRecord};
use pelton_transport::connect;
pub use pelton_transport::{ConnectError, Security, TlsError, TlsFiles};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

/// Requests under way, and what one of them has at most: half of what a worker takes.
const REQUESTS_UNDER_WAY_MAX: usize = 8;
const REQUEST_RECORDS_MAX: usize = 1000;
const REQUEST_BYTES_MAX: usize = 450_000;
/// How long the oldest request may wait for its answer before another worker is tried.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(15);
/// The wait between two attempts: it doubles up to the second.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(20);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(1);
/// Attempts in a row without one answer.
const VAIN_ATTEMPTS_MAX: u32 = 120;

/// A record to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// Unique among the records of this client, 1 to 64 bytes.
    pub id: Bytes,
    /// Its key, at most 4,096 bytes.
    pub key: Bytes,
    /// As the codec of the stream wants it; with the key at most 64 KiB.
    pub value: Bytes,
    /// When it happened; `None`: when it arrives.
    pub event_time: Option<EventTime>,
}

/// Why records were not appended, or the stream not finished. What was not answered may be durable or not: appended
/// again with the same ids it is no second record.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// No address, or one that is none.
    #[error("cannot connect: {0}")]
    Connect(#[from] ConnectError),
    /// No worker is named.
    #[error("an ingest client needs the address of at least one worker, HOST:PORT")]
    NoWorker,
    /// The request is wrong, and would be wrong again.
    #[error("refused: {0}")]
    Refused(String),
    /// No worker took it, however often it was tried.
    #[error("no worker of {addresses} took it in {VAIN_ATTEMPTS_MAX} attempts; the last said: {last}")]
    Unavailable {
        /// Those that were tried.
        addresses: String,
        /// What came of the last attempt.
        last: String,
    },
}

/// Appends records to one stream under one client's name.
#[derive(Debug)]
pub struct IngestClient {
    addresses: Vec<String>,
    security: Security,
    stream: String,
    client: String,
    request_records_max: usize,
    /// Which address is tried next.
    turn: usize,
    call: Option<Call>,
}

/// A call that is open.
#[derive(Debug)]
struct Call {
    requests: mpsc::Sender<AppendRequest>,
    answers: Streaming<AppendResponse>,
}

impl IngestClient {
    /// A client named `client`, 1 to 64 bytes, of workers at `addresses`, each HOST:PORT; in plaintext, unless it is
    /// [`Self::secured`]. It connects when there is something to append.
    ///
    /// # Errors
    /// [`IngestError::Connect`] and [`IngestError::NoWorker`].
    pub fn connect(
        addresses: impl IntoIterator<Item = impl Into<String>>,
        stream: impl Into<String>,
        client: impl Into<String>,
    ) -> Result<Self, IngestError> {
        let addresses: Vec<String> = addresses.into_iter().map(Into::into).collect();
        if addresses.is_empty() {
            return Err(IngestError::NoWorker);
        }
        Ok(Self {
            addresses,
            security: Security::none(),
            stream: stream.into(),
            client: client.into(),
            request_records_max: REQUEST_RECORDS_MAX,
            turn: 0,
            call: None,
        })
    }

    /// The same client, over connections that `security` secures: see [`SecurityArgs`](crate::cli::config::SecurityArgs)
    /// for the options of a program.
    #[must_use]
    pub fn secured(self, security: Security) -> Self {
        Self { security, call: None, ..self }
    }

    /// The same client, whose requests have `records` records at most: 1 to 1,000, and 1,000 unless set. Eight requests
    /// are under way at a time, so the fewer records there are in one, the sooner a part is answered.
    #[must_use]
    pub fn requests_of(self, records: usize) -> Self {
        Self { request_records_max: records.clamp(1, REQUEST_RECORDS_MAX), ..self }
    }

    /// Appends records in order, and returns when all are durable.
    ///
    /// Cancelled, some may be appended and some not: append them again with the same ids.
    ///
    /// # Errors
    /// [`IngestError`].
    pub async fn append(&mut self, records: Vec<NewRecord>) -> Result<(), IngestError> {
        let mut left: VecDeque<AppendRequest> = self.requests(records);
        let (mut vain, mut delay) = (0, RETRY_DELAY_MIN);
        while !left.is_empty() {
            let before = left.len();
            let Err(status) = self.attempt(&mut left).await else { continue };
            self.call = None;
            if left.len() < before {
                (vain, delay) = (0, RETRY_DELAY_MIN);
            }
            self.again(&status, &mut vain, &mut delay).await?;
        }
        Ok(())
    }

    /// Says that no more records come to the stream, from anybody, ever.
    ///
    /// # Errors
    /// [`IngestError`].
    pub async fn finish(&mut self) -> Result<(), IngestError> {
        let (mut vain, mut delay) = (0, RETRY_DELAY_MIN);
        loop {
            let finish = FinishRequest { stream: self.stream.clone() };
            let mut calls = self.calls()?;
            let finished = within(async { calls.finish(finish).await }).await;
            let Err(status) = finished else { return Ok(()) };
            self.again(&status, &mut vain, &mut delay).await?;
        }
    }

    fn calls(&self) -> Result<Calls<tonic::transport::Channel>, IngestError> {
        let address = self.addresses.get(self.turn % self.addresses.len()).ok_or(IngestError::NoWorker)?;
        Ok(Calls::new(connect(address, &self.security)?))
    }

    /// Waits, and goes on to the next worker, where another attempt may help.
    async fn again(
        &mut self,
        status: &Status,
        vain: &mut u32,
        delay: &mut Duration,
    ) -> Result<(), IngestError> {
        if is_final(status.code()) {
            return Err(IngestError::Refused(status.message().to_owned()));
        }
        *vain += 1;
        if *vain >= VAIN_ATTEMPTS_MAX {
            let addresses = self.addresses.join(", ");
            return Err(IngestError::Unavailable { addresses, last: status.to_string() });
        }
        self.turn += 1;
        tokio::time::sleep(*delay).await;
        *delay = (*delay * 2).min(RETRY_DELAY_MAX);
        Ok(())
    }

    /// Sends what is left over one call, and takes off what is answered.
    async fn attempt(&mut self, left: &mut VecDeque<AppendRequest>) -> Result<(), Status> {
        let mut call = match self.call.take() {
            Some(call) => call,
            None => self.open().await?,
        };
        let mut sent = 0;
        while !left.is_empty() {
            if sent < REQUESTS_UNDER_WAY_MAX
                && let Some(request) = left.get(sent)
            {
                // Its buffer has room for all that may be under way.
                let gone = call.requests.send(request.clone()).await.is_err();
                if !gone {
                    sent += 1;
                    continue;
                }
            }
            let answer = within(call.answers.message()).await?;
            answer.ok_or_else(|| Status::unavailable("the call has ended"))?;
            left.pop_front();
            sent = sent.saturating_sub(1);
        }
        self.call = Some(call);
        Ok(())
    }

    async fn open(&self) -> Result<Call, Status> {
        let mut calls = self.calls().map_err(|error| Status::unavailable(error.to_string()))?;
        let (requests, waiting) = mpsc::channel(REQUESTS_UNDER_WAY_MAX);
        let answers = within(calls.append(ReceiverStream::new(waiting))).await?.into_inner();
        Ok(Call { requests, answers })
    }

    /// The records as requests, none of them too large.
    fn requests(&self, records: Vec<NewRecord>) -> VecDeque<AppendRequest> {
        let mut requests: VecDeque<AppendRequest> = VecDeque::new();
        let mut bytes = 0;
        for record in records {
            let size = record.id.len() + record.key.len() + record.value.len();
            let full = requests.back().is_none_or(|last| {
                last.records.len() >= self.request_records_max || bytes + size > REQUEST_BYTES_MAX
            });
            if full {
                bytes = 0;
                let (stream, client) = (self.stream.clone(), self.client.clone());
                requests.push_back(AppendRequest { stream, client, records: Vec::new() });
            }
            bytes += size;
            let NewRecord { id, key, value, event_time } = record;
            let event_time_us = event_time.map(EventTime::as_micros);
            if let Some(last) = requests.back_mut() {
                last.records.push(IngestRecord { id, key, value, event_time_us });
            }
        }
        requests
    }
}

/// What the same request would meet again at every worker.
fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::PermissionDenied
            | Code::Unauthenticated
    )
}

async fn within<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    tokio::time::timeout(ANSWER_WAIT_MAX, call)
        .await
        .unwrap_or_else(|_| Err(Status::deadline_exceeded("it does not answer")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: usize, bytes: usize) -> NewRecord {
        let value = vec![0; bytes].into();
        NewRecord { id: id.to_string().into(), key: Bytes::new(), value, event_time: None }
    }

    #[test]
    fn requests_have_all_records_in_order_and_none_is_larger_than_a_worker_takes() {
        let client = IngestClient::connect(["localhost:1"], "s", "c").unwrap();
        for (count, bytes) in [(0, 0), (1, 65_536), (2_500, 10), (100, 60_000)] {
            let requests = client.requests((0..count).map(|id| record(id, bytes)).collect());
            assert!(requests.iter().all(|request| crate::ingest::check::check(&request.records).is_ok()));
            let ids = requests.iter().flat_map(|r| &r.records).map(|r| r.id.clone());
            assert!(ids.eq((0..count).map(|id| Bytes::from(id.to_string()))));
        }
        let small = client.requests_of(3).requests((0..8).map(|id| record(id, 1)).collect());
        assert_eq!(small.iter().map(|request| request.records.len()).collect::<Vec<_>>(), [3, 3, 2]);
    }

    #[test]
    fn a_client_without_a_worker_is_refused() {
        let none: [&str; 0] = [];
        assert!(matches!(IngestClient::connect(none, "s", "c"), Err(IngestError::NoWorker)));
    }
}
