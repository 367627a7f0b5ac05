//! One stream to the injector in charge after the other.
//!
//! A stream that breaks, or on which nothing is heard for the lease, is given up, and the injectors are tried in
//! turn, first the one that the last named as leader. What was asked and not answered is asked again, and each
//! interval's last report sent again: the next leader may know nothing of them. Losing it stops nothing here.

use super::{Event, Session, lock, wire};
use crate::engine::clock::ClockHandle;
use pelton_domain::{Sequencer, SystemTime};
use pelton_proto::Malformed;
use pelton_proto::injector::injector_client::InjectorClient;
use pelton_proto::injector::{self, InjectorMessage, WorkerMessage, injector_message, worker_message};
use pelton_transport::Security;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

/// How a worker finds its injectors, and what it says of itself.
#[derive(Clone, Debug)]
pub(crate) struct JoinOptions {
    /// The addresses of all injectors, HOST:PORT.
    pub(crate) injectors: Vec<String>,
    pub(crate) security: Security,
    /// What the injector judges ids by.
    pub(crate) clock: ClockHandle,
    /// What is said first; what runs and the time are filled in.
    pub(crate) hello: injector::Hello,
}

/// Messages that wait for the stream's own flow control.
const MESSAGES_MAX: usize = 16;
const RETRY_DELAY_MIN: Duration = Duration::from_millis(20);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(1);
/// How long an injector may take to welcome.
const WELCOME_WAIT_MAX: Duration = Duration::from_secs(5);
/// How often a name that another process has is tried: that process may have just died.
const NAME_ATTEMPTS_MAX: u32 = 20;
/// The metadata in which an injector that does not lead names the one that does.
const LEADER: &str = "pelton-leader";

/// The link of one session; it runs until the worker is drained, or refused.
pub(crate) struct Link {
    session: Session,
    options: JoinOptions,
    control: mpsc::UnboundedReceiver<worker_message::Kind>,
    events: mpsc::UnboundedSender<Event>,
    /// The worker has said that it wants to stop: each injector is told.
    leaving: bool,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.session.close();
    }
}

enum Ended {
    Drained,
    Lost(Status),
    /// Nobody listens to the events any more.
    Unwanted,
}

struct Stream {
    out: mpsc::Sender<WorkerMessage>,
    incoming: Streaming<InjectorMessage>,
    clock: ClockHandle,
    epoch: Sequencer,
    lease: Duration,
}

impl Link {
    pub(crate) fn new(
        session: Session,
        options: JoinOptions,
        control: mpsc::UnboundedReceiver<worker_message::Kind>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        Self { session, options, control, events, leaving: false }
    }

    /// Keeps the membership.
    pub(crate) async fn run(mut self) {
        let (mut turn, mut delay, mut refusals, mut was_member) = (0, RETRY_DELAY_MIN, 0, false);
        let mut named: Option<String> = None;
        let mut reachable = true;
        loop {
            let in_turn = self.options.injectors.get(turn % self.options.injectors.len().max(1));
            let Some(address) = named.take().or_else(|| in_turn.cloned()) else {
                let _ = self.events.send(Event::Refused("no injector is named".into()));
                return;
            };
            let status = match self.join(&address).await {
                Ok(stream) => {
                    tracing::info!(address, epoch = %stream.epoch, "joined an injector");
                    (delay, refusals, reachable, was_member) = (RETRY_DELAY_MIN, 0, true, true);
                    match self.serve(stream).await {
                        Ended::Drained => {
                            let _ = self.events.send(Event::Drained);
                            return;
                        }
                        Ended::Unwanted => return,
                        Ended::Lost(status) => status,
                    }
                }
                Err(status) => status,
            };
            refusals += u32::from(status.code() == Code::AlreadyExists);
            if is_final(&status, refusals, was_member) {
                let _ = self
                    .events
                    .send(Event::Refused(format!("the injector at {address}: {}", status.message())));
                return;
            }
            named = status.metadata().get(LEADER).and_then(|leader| leader.to_str().ok()).map(str::to_owned);
            if named.as_ref() == Some(&address) {
                named = None;
            }
            if named.is_none() {
                turn += 1;
                if std::mem::take(&mut reachable) {
                    tracing::warn!(address, %status, "no injector leads here: trying them in turn; work goes on");
                }
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(RETRY_DELAY_MAX);
            }
        }
    }

    async fn join(&mut self, address: &str) -> Result<Stream, Status> {
        let channel = pelton_transport::connect(address, &self.options.security)
            .map_err(|error| Status::failed_precondition(error.to_string()))?;
        let mut hello = self.options.hello.clone();
        hello.running = lock(&self.session.inner.runs).ids();
        hello.clock_us = Some(self.options.clock.now().as_micros());
        let (out, requests) = mpsc::channel(MESSAGES_MAX);
        let hello =
            WorkerMessage { clock_us: hello.clock_us, kind: Some(worker_message::Kind::Hello(hello)) };
        out.send(hello).await.map_err(|_| Status::unavailable("the stream has ended"))?;
        let open = async {
            let mut client = InjectorClient::new(channel)
                .max_decoding_message_size(pelton_transport::MESSAGE_BYTES_MAX)
                .max_encoding_message_size(pelton_transport::MESSAGE_BYTES_MAX);
            let mut incoming = client.join(ReceiverStream::new(requests)).await?.into_inner();
            let first = incoming.message().await?.unwrap_or_default();
            self.learn_ceiling(&first);
            match first.kind {
                Some(injector_message::Kind::Welcome(welcome)) => Ok((incoming, welcome)),
                _ => Err(Status::unavailable("the answer does not begin with a welcome")),
            }
        };
        let (incoming, welcome) = tokio::time::timeout(WELCOME_WAIT_MAX, open)
            .await
            .map_err(|_| Status::deadline_exceeded("it does not answer"))??;
        let epoch = Sequencer::new(welcome.epoch).unwrap_or(Sequencer::MIN);
        let lease = Duration::from_millis(u64::from(welcome.lease_ms.max(100)));
        let clock = self.options.clock.clone();
        Ok(Stream { out, incoming, clock, epoch, lease })
    }

    async fn serve(&mut self, mut stream: Stream) -> Ended {
        match self.talk(&mut stream).await {
            Ok(ended) => ended,
            Err(status) => Ended::Lost(status),
        }
    }

    async fn talk(&mut self, stream: &mut Stream) -> Result<Ended, Status> {
        for request in self.session.unanswered() {
            send_within(stream, request).await?;
        }
        if self.leaving {
            send_within(stream, worker_message::Kind::Leaving(injector::Leaving {})).await?;
        }
        lock(&self.session.inner.runs).unsent_all();
        self.report(stream).await?;
        let mut beat = tokio::time::interval(stream.lease / 3);
        let mut deadline = Box::pin(tokio::time::sleep(stream.lease));
        loop {
            tokio::select! {
                biased;
                // First what keeps the membership: whatever comes may come without end.
                _ = beat.tick() => {
                    lock(&self.session.inner.runs).look_at_figures();
                    self.report(stream).await?;
                    within(stream.lease, stream.out.send(stream.message(None))).await?;
                }
                message = stream.incoming.message() => {
                    deadline.set(tokio::time::sleep(stream.lease));
                    match message? {
                        Some(message) => if !self.hear(stream.epoch, message)? {
                            return Ok(Ended::Unwanted);
                        },
                        None if self.leaving || lock(&self.session.inner.runs).ids().is_empty() => {
                            return Ok(Ended::Drained);
                        }
                        None => return Err(Status::unavailable("the injector has ended the stream")),
                    }
                }
                () = &mut deadline => {
                    return Err(Status::deadline_exceeded("the injector has said nothing for the lease"));
                }
                message = self.control.recv() => match message {
                    Some(message) => {
                        self.leaving |= matches!(message, worker_message::Kind::Leaving(_));
                        send_within(stream, message).await?;
                    }
                    None => return Ok(Ended::Unwanted),
                },
                () = self.session.inner.news.notified() => self.report(stream).await?,
            }
        }
    }

    async fn report(&self, stream: &Stream) -> Result<(), Status> {
        loop {
            let Some(reports) = lock(&self.session.inner.runs).take() else { return Ok(()) };
            send_within(stream, worker_message::Kind::Reports(reports)).await?;
        }
    }

    /// Takes a message up; false where nobody listens to the events any more.
    fn hear(&self, epoch: Sequencer, message: InjectorMessage) -> Result<bool, Status> {
        self.learn_ceiling(&message);
        let Some(kind) = message.kind else { return Ok(true) };
        match self.event(epoch, kind) {
            Ok(Some(event)) => Ok(self.events.send(event).is_ok()),
            Ok(None) => Ok(true),
            Err(malformed) => Err(Status::invalid_argument(malformed.to_string())),
        }
    }

    /// How late ids may be, whatever the clock here says (I6).
    fn learn_ceiling(&self, message: &InjectorMessage) {
        if let Some(most) = message.id_time_ms_max {
            self.session.id_ceiling().set(SystemTime::from_millis(most));
        }
    }

    fn event(&self, epoch: Sequencer, kind: injector_message::Kind) -> Result<Option<Event>, Malformed> {
        use injector_message::Kind as K;
        Ok(match kind {
            K::Welcome(_) => None,
            K::Announced(announced) => {
                let entries = announced.entries.iter().map(wire::read_announced);
                self.session.hear_announced(epoch, entries.collect::<Result<Vec<_>, _>>()?);
                None
            }
            K::Response(response) => {
                self.session.answered(response);
                None
            }
            K::Assign(assign) => {
                let assign = wire::AwayAssign::try_from(assign)?;
                self.session.hear_announced(epoch, [(assign.computation, assign.assigned.announced)]);
                Some(Event::Assign(assign))
            }
            K::Release(release) => {
                let ids = release.intervals.iter().map(wire::read_interval_id);
                Some(Event::Release(ids.collect::<Result<_, _>>()?))
            }
            K::Routes(routes) => Some(Event::Routes(routes.routes)),
            K::Reshape(reshape) => Some(Event::Reshape {
                computation: reshape.computation,
                old: wire::read_bounds(&reshape.old)?,
                new: wire::read_bounds(&reshape.new)?,
            }),
        })
    }
}

impl Stream {
    fn message(&self, kind: Option<worker_message::Kind>) -> WorkerMessage {
        WorkerMessage { kind, clock_us: Some(self.clock.now().as_micros()) }
    }
}

/// Whether another attempt is in vain: who refuses says what is wrong with this worker. A clock that was right before
/// may be so again; at the start, whoever starts the worker is to know.
fn is_final(status: &Status, name_refusals: u32, was_member: bool) -> bool {
    match status.code() {
        Code::OutOfRange => !was_member,
        Code::FailedPrecondition | Code::InvalidArgument | Code::Unauthenticated | Code::PermissionDenied => {
            true
        }
        Code::AlreadyExists => name_refusals >= NAME_ATTEMPTS_MAX,
        _ => false,
    }
}

async fn send_within(stream: &Stream, kind: worker_message::Kind) -> Result<(), Status> {
    within(stream.lease, stream.out.send(stream.message(Some(kind)))).await
}

async fn within<E>(lease: Duration, sending: impl Future<Output = Result<(), E>>) -> Result<(), Status> {
    match tokio::time::timeout(lease, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Status::unavailable("the stream has ended")),
        Err(_) => Err(Status::deadline_exceeded("the injector takes nothing more")),
    }
}
