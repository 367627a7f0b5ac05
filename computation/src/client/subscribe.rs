//! A client of the gRPC service by which streams are published: see [`Publish`](crate::Publish).
//!
//! It keeps the token of the last answer, and goes on behind it, at one worker after another: so each record comes once,
//! and none is missed. Any other gRPC client can do the same; this one knows nothing more.

use super::{RETRY_DELAY_MAX, RETRY_DELAY_MIN, VAIN_ATTEMPTS_MAX, is_final, within};
use bytes::Bytes;
use pelton_domain::EventTime;
use pelton_proto::subscribe::subscribe_client::SubscribeClient as Calls;
use pelton_proto::subscribe::subscribe_request::From as Place;
use pelton_proto::subscribe::{Earliest, Latest, SubscribeRequest, SubscribeResponse};
use pelton_transport::{ConnectError, Security, connect};
use tonic::{Code, Status, Streaming};

/// Where a subscription begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With the oldest record that is kept.
    Earliest,
    /// Behind the newest record there is when a worker is first reached.
    Latest,
    /// Behind the answer that had this token.
    Token(Bytes),
}

/// A record of a published stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedRecord {
    /// Its key.
    pub key: Bytes,
    /// Its value, as the codec of the stream encodes it.
    pub value: Bytes,
    /// When it happened.
    pub event_time: EventTime,
    /// The partition that it is in.
    pub partition: u32,
    /// Its place in the partition.
    pub offset: u64,
}

/// What has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Records; there may be none, where only a token or a watermark has come.
    pub records: Vec<PublishedRecord>,
    /// Where to go on behind these: to be kept with what is made of them.
    pub token: Bytes,
    /// No record of an earlier event time comes behind these, other than late ones. `None`: nothing new is known.
    pub watermark: Option<EventTime>,
}

/// Why a subscription does not go on. What was received stays received.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// An address that is none.
    #[error("cannot connect: {0}")]
    Connect(#[from] ConnectError),
    /// No worker is named.
    #[error("a subscription needs the address of at least one worker, HOST:PORT")]
    NoWorker,
    /// Records behind the token are not kept any more: begin with the earliest or the latest, and know that some are
    /// missing.
    #[error("records are missing: {0}")]
    Expired(String),
    /// The request is wrong, and would be wrong again.
    #[error("refused: {0}")]
    Refused(String),
    /// No worker answered, however often it was tried.
    #[error("no worker of {addresses} answered in {VAIN_ATTEMPTS_MAX} attempts; the last said: {last}")]
    Unavailable {
        /// Those that were tried.
        addresses: String,
        /// What came of the last attempt.
        last: String,
    },
}

/// Receives the records of one published stream.
#[derive(Debug)]
pub struct SubscribeClient {
    addresses: Vec<String>,
    security: Security,
    stream: String,
    begin: Begin,
    /// Which address is tried next.
    turn: usize,
    /// Attempts in a row without one answer.
    vain: u32,
    call: Option<Streaming<SubscribeResponse>>,
    /// The last watermark that was received: another worker may know an older one.
    watermark: EventTime,
    ended: bool,
}

impl SubscribeClient {
    /// A client of workers at `addresses`, each HOST:PORT, in plaintext, for the stream that is published as `stream`. It
    /// connects when it is asked for records.
    ///
    /// # Errors
    /// [`SubscribeError::NoWorker`].
    pub fn connect(
        addresses: impl IntoIterator<Item = impl Into<String>>,
        stream: impl Into<String>,
        begin: Begin,
    ) -> Result<Self, SubscribeError> {
        let addresses: Vec<String> = addresses.into_iter().map(Into::into).collect();
        if addresses.is_empty() {
            return Err(SubscribeError::NoWorker);
        }
        let (security, stream) = (Security::none(), stream.into());
        let watermark = EventTime::MIN;
        Ok(Self { addresses, security, stream, begin, turn: 0, vain: 0, call: None, watermark, ended: false })
    }

    /// What comes next, as soon as there is something; `None` once the stream is finished and all of it was received.
    ///
    /// Safe to cancel: what was not returned comes again.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub async fn next(&mut self) -> Result<Option<Received>, SubscribeError> {
        while !self.ended {
            let answer = match &mut self.call {
                Some(call) => call.message().await,
                None => match self.open().await? {
                    Ok(call) => {
                        self.call = Some(call);
                        continue;
                    }
                    Err(status) => Err(status),
                },
            };
            let status = match answer {
                Ok(Some(answer)) => return Ok(Some(self.received(answer))),
                Ok(None) => Status::unavailable("the call has ended"),
                Err(status) => status,
            };
            self.call = None;
            self.again(&status).await?;
        }
        Ok(None)
    }

    /// Where to go on behind what was last received, or where it is to begin.
    #[must_use]
    pub fn place(&self) -> &Begin {
        &self.begin
    }

    fn received(&mut self, answer: SubscribeResponse) -> Received {
        let SubscribeResponse { records, token, watermark_us, end } = answer;
        (self.vain, self.ended, self.begin) = (0, end, Begin::Token(token.clone()));
        let record = |record: pelton_proto::subscribe::PublishedRecord| PublishedRecord {
            key: record.key,
            value: record.value,
            event_time: EventTime::from_micros(record.event_time_us),
            partition: record.partition,
            offset: record.offset,
        };
        let watermark = watermark_us.map(EventTime::from_micros).filter(|new| *new > self.watermark);
        self.watermark = watermark.unwrap_or(self.watermark);
        Received { records: records.into_iter().map(record).collect(), token, watermark }
    }

    async fn open(&self) -> Result<Result<Streaming<SubscribeResponse>, Status>, SubscribeError> {
        let address = self.addresses.get(self.turn % self.addresses.len()).ok_or(SubscribeError::NoWorker)?;
        let mut calls = Calls::new(connect(address, &self.security)?);
        let from = Some(match &self.begin {
            Begin::Earliest => Place::Earliest(Earliest {}),
            Begin::Latest => Place::Latest(Latest {}),
            Begin::Token(token) => Place::Token(token.clone()),
        });
        let request = SubscribeRequest { stream: self.stream.clone(), from };
        Ok(within(async { calls.subscribe(request).await.map(tonic::Response::into_inner) }).await)
    }

    /// Waits, and goes on to the next worker, where another attempt may help.
    async fn again(&mut self, status: &Status) -> Result<(), SubscribeError> {
        if status.code() == Code::OutOfRange {
            return Err(SubscribeError::Expired(status.message().to_owned()));
        }
        if is_final(status.code()) || status.code() == Code::DataLoss {
            return Err(SubscribeError::Refused(status.message().to_owned()));
        }
        self.vain += 1;
        if self.vain >= VAIN_ATTEMPTS_MAX {
            let addresses = self.addresses.join(", ");
            return Err(SubscribeError::Unavailable { addresses, last: status.to_string() });
        }
        self.turn += 1;
        let doublings = (self.vain - 1).min(10);
        tokio::time::sleep((RETRY_DELAY_MIN * (1 << doublings)).min(RETRY_DELAY_MAX)).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_without_a_worker_is_refused() {
        let none: [&str; 0] = [];
        assert!(matches!(SubscribeClient::connect(none, "s", Begin::Latest), Err(SubscribeError::NoWorker)));
    }
}
