//! The way to one other process: deliveries of all intervals here to all intervals there, over one stream.
//!
//! While there is no stream, what is to be sent is dropped, and remembered is only who sent to whom: once there is
//! a stream again, each of these channels is told to start again from its oldest, as if the receiver had refused
//! it (I5). So nothing gathers here but what the credit of the channels allows (I11).

use super::wire::{self, Answered, AwayRoute};
use super::{Peers, worker};
use crate::engine::channel::Party;
use crate::engine::router::Mail;
use bytes::Bytes;
use pelton_injector::Worker;
use pelton_proto::worker::delivery_client::DeliveryClient;
use pelton_proto::worker::{deliver_request, deliver_response};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// Deliveries in one message, and their bytes: below what a receiver takes at once.
const BATCH_DELIVERIES_MAX: usize = 256;
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Messages that wait for the stream's own flow control.
const MESSAGES_MAX: usize = 4;
/// The longest wait between two attempts to reach a process.
const RETRY_DELAY_MAX: Duration = Duration::from_millis(500);
/// How long the other side may take to say hello.
const HELLO_WAIT_MAX: Duration = Duration::from_secs(5);

/// The sending end of the way to one process. It ends with its last clone.
#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    pub(crate) process: Bytes,
    pub(super) worker: Worker,
    pub(crate) address: String,
    queue: mpsc::UnboundedSender<(Party, Mail)>,
}

impl Outbound {
    /// Begins to serve the way to `process`; it connects when there is something to send.
    pub(super) fn start(peers: Peers, process: Bytes, worker: &Worker, address: String) -> Self {
        let (queue, waiting) = mpsc::unbounded_channel();
        let link =
            Link { peers, process: process.clone(), address: address.clone(), waiting, sent: Sent::new() };
        tokio::spawn(link.run());
        Self { process, worker: worker.clone(), address, queue }
    }

    pub(crate) fn send(&self, to: Party, mail: Mail) {
        // Where the link has ended, so has the process that asks.
        let _ = self.queue.send((to, mail));
    }
}

/// From whom to whom something was sent, and the latest epoch of it.
type Sent = BTreeMap<(Party, Party), u64>;

struct Link {
    peers: Peers,
    process: Bytes,
    address: String,
    waiting: mpsc::UnboundedReceiver<(Party, Mail)>,
    /// What was sent or dropped since the last stream began.
    sent: Sent,
}

/// How serving one stream ended.
enum Ended {
    /// Nobody sends to this process any more.
    Unused,
    /// The stream is lost.
    Lost(Status),
}

impl Link {
    async fn run(mut self) {
        let Some(first) = self.waiting.recv().await else { return };
        self.note(&first);
        let mut delay = Duration::from_millis(5);
        loop {
            match self.connect().await {
                Ok((out, answers)) => {
                    delay = Duration::from_millis(5);
                    self.start_channels_again();
                    match self.serve(out, answers).await {
                        Ended::Unused => return,
                        Ended::Lost(status) => {
                            tracing::debug!(address = self.address, %status, "a delivery stream was lost");
                        }
                    }
                }
                Err(status) => tracing::debug!(address = self.address, %status, "a worker cannot be reached"),
            }
            metrics::counter!("pelton_delivery_streams_lost_total").increment(1);
            if !self.wait(delay).await {
                return;
            }
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
    }

    /// Drops what comes meanwhile, so that nothing gathers; false where nobody sends any more.
    async fn wait(&mut self, delay: Duration) -> bool {
        let sleep = tokio::time::sleep(delay);
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                biased;
                () = &mut sleep => return true,
                mail = self.waiting.recv() => match mail {
                    Some(mail) => self.note(&mail),
                    None => return false,
                },
            }
        }
    }

    fn note(&mut self, (to, mail): &(Party, Mail)) {
        if let Mail::Deliver { from, epoch, .. } = mail {
            let latest = self.sent.entry((*from, *to)).or_insert(*epoch);
            *latest = (*latest).max(*epoch);
        }
    }

    /// Everything that was sent since the last stream began may be lost, with its answers.
    fn start_channels_again(&mut self) {
        while let Ok(mail) = self.waiting.try_recv() {
            self.note(&mail);
        }
        let table = self.peers.router.table();
        for ((from, to), epoch) in std::mem::take(&mut self.sent) {
            if let Some(mailbox) = table.here(from) {
                let _ = mailbox.send(Mail::Refuse { from: to, epoch });
            }
        }
    }

    async fn connect(
        &mut self,
    ) -> Result<(mpsc::Sender<worker::DeliverRequest>, Streaming<worker::DeliverResponse>), Status> {
        let channel = pelton_transport::connect(&self.address, &self.peers.security)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let (out, requests) = mpsc::channel(MESSAGES_MAX);
        let hello = deliver_request::Kind::Hello(self.peers.identity.hello());
        let gone = |_| Status::cancelled("the stream ended before it began");
        out.send(worker::DeliverRequest { kind: Some(hello) }).await.map_err(gone)?;
        let open = async {
            let mut client = DeliveryClient::new(channel)
                .max_decoding_message_size(pelton_transport::MESSAGE_BYTES_MAX)
                .max_encoding_message_size(pelton_transport::MESSAGE_BYTES_MAX);
            let mut answers = client.deliver(ReceiverStream::new(requests)).await?.into_inner();
            let first = answers.message().await?.and_then(|message| message.kind);
            match first {
                Some(deliver_response::Kind::Hello(hello)) if hello.process == self.process => Ok(answers),
                Some(deliver_response::Kind::Hello(_)) => {
                    Err(Status::unavailable("another process answers at its address"))
                }
                _ => Err(Status::failed_precondition("the answer does not begin with a hello")),
            }
        };
        let answers = tokio::time::timeout(HELLO_WAIT_MAX, open)
            .await
            .map_err(|_| Status::deadline_exceeded("it does not say hello"))??;
        Ok((out, answers))
    }

    async fn serve(
        &mut self,
        out: mpsc::Sender<worker::DeliverRequest>,
        answers: Streaming<worker::DeliverResponse>,
    ) -> Ended {
        let mut reading = std::pin::pin!(read_answers(self.peers.clone(), answers));
        loop {
            let batch = tokio::select! {
                biased;
                status = &mut reading => return Ended::Lost(status),
                first = self.waiting.recv() => match first {
                    Some(first) => self.gather(first),
                    None => return Ended::Unused,
                },
            };
            let request = worker::DeliverRequest { kind: Some(deliver_request::Kind::Batch(batch)) };
            // Answers are read while this waits for the receiver to take more.
            tokio::select! {
                biased;
                status = &mut reading => return Ended::Lost(status),
                sent = out.send(request) => if sent.is_err() {
                    return Ended::Lost(Status::unavailable("the stream has ended"));
                },
            }
        }
    }

    /// What waits, as one message.
    fn gather(&mut self, first: (Party, Mail)) -> worker::Batch {
        let (mut batch, mut bytes) = (worker::Batch::default(), 0);
        let mut next = Some(first);
        while let Some(mail) = next.take() {
            self.note(&mail);
            if let (to, Mail::Deliver { from, epoch, number, delivery }) = mail {
                bytes += delivery.bytes;
                batch.deliveries.push(wire::delivery(from, to, epoch, number, &delivery));
            }
            if batch.deliveries.len() < BATCH_DELIVERIES_MAX && bytes < BATCH_BYTES_MAX {
                next = self.waiting.try_recv().ok();
            }
        }
        batch
    }
}

/// Hands answers to whom they are for, until the stream ends.
async fn read_answers(peers: Peers, mut answers: Streaming<worker::DeliverResponse>) -> Status {
    loop {
        let message = match answers.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return Status::unavailable("the receiver has ended the stream"),
            Err(status) => return status,
        };
        let Some(deliver_response::Kind::Answers(batch)) = message.kind else { continue };
        let table = peers.router.table();
        for answer in batch.answers {
            match wire::read_answer(answer) {
                Ok(Answered::Mail(to, mail)) => {
                    if let Some(mailbox) = table.here(to) {
                        let _ = mailbox.send(mail);
                    }
                }
                Ok(Answered::NotHere(owner)) => {
                    let route = owner.map(AwayRoute::try_from).and_then(Result::ok);
                    peers.learn(route.into_iter().collect());
                }
                Err(malformed) => tracing::warn!(%malformed, "an answer was ignored"),
            }
        }
    }
}
