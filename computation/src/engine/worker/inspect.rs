//! A look from outside at what the store keeps of a computation: state, timers, dead letters.
//!
//! Everything is read from the store, by any worker for any key. The state of a key is that of one commit: the fence
//! of its interval is read before and after, and where it has moved meanwhile the reading begins again.

use super::dead_letters::replay_in;
use super::{Hosted, Shared};
use crate::engine::timers::TimerEntry;
use crate::state::{Envelope, Show};
use bytes::Bytes;
use pelton_domain::{Key, KeyInterval, ProcessingTime};
use pelton_proto::worker::inspect_server::{Inspect, InspectServer};
use pelton_proto::worker::{
    DeadLetterEntry, DeadLettersRequest, DeadLettersResponse, ReplayDeadLettersRequest,
    ReplayDeadLettersResponse, StateEntry, StateRequest, StateResponse, TimersRequest, TimersResponse,
};
use pelton_statestore::{Fence, KeyRange, ReadError, Scan};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// What is answered where the request does not say how many.
const COUNT_DEFAULT: usize = 100;
/// The most that is answered at once.
const COUNT_MAX: usize = 10_000;
/// How often the state of a key that keeps changing is read before that is said.
const ATTEMPTS_MAX: usize = 20;

/// The service.
#[derive(Clone)]
pub(super) struct InspectService {
    shared: Arc<Shared>,
}

impl InspectService {
    pub(super) fn server(shared: Arc<Shared>) -> InspectServer<Self> {
        InspectServer::new(Self { shared }).max_encoding_message_size(pelton_transport::MESSAGE_BYTES_MAX)
    }

    fn hosted(&self, name: &str) -> Result<&Hosted, Status> {
        let mut all = self.shared.computations.values();
        all.find(|hosted| hosted.spec.name.as_str() == name).ok_or_else(|| {
            let known: Vec<_> = self.shared.computations.values().map(|h| h.spec.name.as_str()).collect();
            Status::not_found(format!("there is no computation {name:?}; there are {}", known.join(", ")))
        })
    }

    /// The fence of the interval that holds `key`.
    async fn fence(&self, hosted: &Hosted, key: &Key) -> Result<Fence, Status> {
        let range = hosted.keys.fences_from(key.position());
        let page = self.shared.store.scan(Scan { entries_max: 1, ..Scan::page_of(range) }).await;
        let page = page.map_err(|error| unreadable(&error))?;
        let (_, value) =
            page.entries.first().ok_or_else(|| Status::unavailable("it has no intervals yet"))?;
        Fence::decode(value).map_err(|malformed| Status::data_loss(malformed.to_string()))
    }

    /// Up to `count_max` entries of a range, and whether there are more.
    async fn scan(
        &self,
        mut range: KeyRange,
        count_max: usize,
    ) -> Result<(Vec<(Bytes, Bytes)>, bool), Status> {
        let mut entries = Vec::new();
        while entries.len() <= count_max {
            let page = self.shared.store.scan(Scan::page_of(range.clone())).await;
            let page = page.map_err(|error| unreadable(&error))?;
            entries.extend(page.entries);
            match page.next {
                Some(next) => range.start = next,
                None => break,
            }
        }
        let more = entries.len() > count_max;
        entries.truncate(count_max);
        Ok((entries, more))
    }
}

fn unreadable(error: &ReadError) -> Status {
    match error {
        ReadError::Unavailable(_) => Status::unavailable(error.to_string()),
        ReadError::Fatal(_) => Status::internal(error.to_string()),
    }
}

fn count(asked: u32) -> usize {
    match usize::try_from(asked) {
        Ok(0) | Err(_) => COUNT_DEFAULT,
        Ok(asked) => asked.min(COUNT_MAX),
    }
}

fn key_of(bytes: &Bytes) -> Result<Key, Status> {
    if bytes.len() > Key::LENGTH_MAX {
        let (length, most) = (bytes.len(), Key::LENGTH_MAX);
        return Err(Status::invalid_argument(format!("a key of {length} bytes; {most} is the most")));
    }
    Ok(Key::new(bytes.clone()))
}

/// One entry, and in words what its cell's types make of it. An entry that has expired, of a cell that is not declared
/// any more, or that this code cannot read, has its bytes only.
fn state_entry(
    hosted: &Hosted,
    place: &Bytes,
    value: Bytes,
    now: ProcessingTime,
) -> Result<StateEntry, Status> {
    let at = hosted.keys.read_state(place).map_err(|error| Status::data_loss(error.to_string()))?;
    let cell = String::from_utf8_lossy(&at.cell).into_owned();
    let spec = hosted.spec.cells.iter().find(|known| known.name == cell);
    let kind = spec.map_or("not declared any more", |spec| spec.kind.as_str()).to_owned();
    let payload = spec.and_then(|spec| Envelope::read(&value, spec, now).ok().flatten());
    let shown =
        |show: Option<Show>, bytes: Option<&Bytes>| show.zip(bytes).and_then(|(show, bytes)| show(bytes));
    let shows = spec.map(|spec| spec.shows).unwrap_or_default();
    let sub_key_shown = shown(shows.sub_key, Some(&at.sub_key)).unwrap_or_default();
    let value_shown = shown(shows.value, payload.as_ref()).unwrap_or_default();
    let (namespace, sub_key) = (at.namespace, at.sub_key);
    Ok(StateEntry { cell, kind, namespace, sub_key, value, sub_key_shown, value_shown })
}

#[tonic::async_trait]
impl Inspect for InspectService {
    async fn state(&self, request: Request<StateRequest>) -> Result<Response<StateResponse>, Status> {
        let request = request.into_inner();
        let hosted = self.hosted(&request.computation)?;
        let key = key_of(&request.key)?;
        let mut range = hosted.keys.state_of_key(&key);
        if !request.page.is_empty() {
            if !range.contains(&request.page) {
                return Err(Status::invalid_argument("the page is none of this key"));
            }
            range.start = request.page.clone();
        }
        for _ in 0..ATTEMPTS_MAX {
            let before = self.fence(hosted, &key).await?;
            let page = self.shared.store.scan(Scan::page_of(range.clone())).await;
            let page = page.map_err(|error| unreadable(&error))?;
            let after = self.fence(hosted, &key).await?;
            if (before.token, before.commit_number, before.interval)
                != (after.token, after.commit_number, after.interval)
            {
                continue;
            }
            let now = self.shared.options.clock.now();
            let entries =
                page.entries.into_iter().map(|(place, value)| state_entry(hosted, &place, value, now));
            return Ok(Response::new(StateResponse {
                entries: entries.collect::<Result<_, _>>()?,
                commit_number: after.commit_number.0,
                sequencer: after.sequencer.map_or(0, pelton_domain::Sequencer::get),
                next_page: page.next.unwrap_or_default(),
            }));
        }
        Err(Status::aborted("its interval commits faster than the key can be read: try again"))
    }

    async fn timers(&self, request: Request<TimersRequest>) -> Result<Response<TimersResponse>, Status> {
        let request = request.into_inner();
        let hosted = self.hosted(&request.computation)?;
        let range = match &request.key {
            Some(key) => hosted.keys.timers_of_key(&key_of(key)?),
            None => hosted.keys.timers(KeyInterval::FULL),
        };
        let (entries, more) = self.scan(range, count(request.count_max)).await?;
        let mut timers = Vec::with_capacity(entries.len());
        for (place, value) in entries {
            let at = hosted.keys.read_timer(&place).map_err(|error| Status::data_loss(error.to_string()))?;
            let timer = TimerEntry::decode(&value).map_err(|error| Status::data_loss(error.to_string()))?;
            timers.push(pelton_proto::worker::TimerEntry {
                key: at.key.to_bytes(),
                domain: match at.domain {
                    crate::timer::TimeDomain::Event => "event",
                    crate::timer::TimeDomain::Processing => "processing",
                }
                .to_owned(),
                namespace: at.namespace,
                tag: at.tag,
                fire_at_us: timer.fire_at_us,
                output_time_us: timer.output_time.as_micros(),
            });
        }
        timers.sort_by_key(|timer| timer.fire_at_us);
        Ok(Response::new(TimersResponse { timers, more }))
    }

    async fn dead_letters(
        &self,
        request: Request<DeadLettersRequest>,
    ) -> Result<Response<DeadLettersResponse>, Status> {
        let request = request.into_inner();
        let hosted = self.hosted(&request.computation)?;
        let range = hosted.keys.dead_letters(KeyInterval::FULL);
        let (entries, _) = self.scan(range, count(request.count_max)).await?;
        let mut letters = Vec::with_capacity(entries.len());
        for (place, value) in entries {
            let letter = super::dead_letters::read(hosted, &place, &value)
                .map_err(|error| Status::data_loss(error.to_string()))?;
            letters.push(DeadLetterEntry {
                key: letter.key.to_bytes(),
                number: letter.number,
                error: letter.error,
                attempts: letter.attempts,
                failed_at_us: letter.failed_at.as_micros(),
                value: letter.value,
                replayable: letter.replayable,
            });
        }
        Ok(Response::new(DeadLettersResponse { letters }))
    }

    async fn replay_dead_letters(
        &self,
        request: Request<ReplayDeadLettersRequest>,
    ) -> Result<Response<ReplayDeadLettersResponse>, Status> {
        let hosted = self.hosted(&request.get_ref().computation)?;
        let replayed = replay_in(hosted).await.map_err(|error| Status::unavailable(error.to_string()))?;
        let replayed = u64::try_from(replayed).unwrap_or(u64::MAX);
        Ok(Response::new(ReplayDeadLettersResponse { replayed }))
    }
}
