//! What was recorded of a run of a random graph, in the checker's words.
//!
//! It reads keys as `docs/src/key-layout.md` has them, and decides nothing.

use super::RandomGraph;
use bytes::Bytes;
use pelton::codec::{Codec, Postcard};
use pelton::testing::simulation::{Event as Happened, History};
use pelton::{Correspondent, LetterContent};
use pelton_checker::End;
use pelton_checker::end::Counters;
use pelton_checker::event::{
    Announced, Commit, Content, Event, Fence, Letter, Parked, Party, Pending, TimerRow,
};
use pelton_checker::journal::{Domain, Node, Packet, TimerName};
use pelton_domain::Key;
use pelton_proto::{Message, store};
use pelton_statestore::keys::{MalformedKey, TimeDomain, TimerAddress};
use pelton_statestore::{PipelineKeys, Write};
use std::collections::BTreeMap;

/// A row or a record that is not as it should be.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be read: {reason}")]
pub struct Unreadable {
    what: &'static str,
    reason: String,
}

fn unreadable(what: &'static str) -> impl FnOnce(String) -> Unreadable {
    move |reason| Unreadable { what, reason }
}

fn malformed(error: MalformedKey) -> Unreadable {
    unreadable("a row's key")(error.to_string())
}

fn decode<M: Message + Default>(what: &'static str, bytes: &Bytes) -> Result<M, Unreadable> {
    M::decode(bytes.clone()).map_err(|error| unreadable(what)(error.to_string()))
}

fn packet(value: &Bytes) -> Result<Packet, Unreadable> {
    Postcard::decode(value).map_err(|error| unreadable("a record")(error.to_string()))
}

fn number(key: &Key) -> Result<u64, Unreadable> {
    let bytes = key.as_bytes().try_into().map_err(|_| unreadable("a key")(format!("{key} is no number")))?;
    Ok(u64::from_be_bytes(bytes))
}

/// The value in the envelope of a state entry without expiry and of schema version 1.
fn state<T: serde::Serialize + serde::de::DeserializeOwned>(value: &Bytes) -> Result<T, Unreadable> {
    match value.first() {
        Some(0) => Postcard::decode(&value.slice(1..))
            .map_err(|error| unreadable("a state entry")(error.to_string())),
        flags => Err(unreadable("a state entry")(format!("its flags are {flags:?}"))),
    }
}

/// The names of the store's numbers.
struct Witness {
    keys: PipelineKeys,
    computations: BTreeMap<u32, u16>,
    streams: BTreeMap<u32, u16>,
}

/// What a row is.
enum Row {
    /// Of a computation of the graph: its place, and the kind.
    Of(u16, u32, char),
    Catalogue,
    Announced(u16),
    /// Nothing that says something.
    Other,
}

impl Witness {
    fn new() -> Self {
        let keys = PipelineKeys::new(&RandomGraph::name());
        Self { keys, computations: BTreeMap::new(), streams: BTreeMap::new() }
    }

    fn learn(&mut self, catalogue: &Bytes) -> Result<(), Unreadable> {
        let catalogue: store::Catalogue = decode("the catalogue", catalogue)?;
        let places = |of: Vec<store::NamedNumber>, letter: char| -> BTreeMap<u32, u16> {
            let place =
                |it: store::NamedNumber| Some((it.number, it.name.strip_prefix(letter)?.parse().ok()?));
            of.into_iter().filter_map(place).collect()
        };
        self.computations = places(catalogue.computations, 'n');
        self.streams = places(catalogue.streams, 's');
        Ok(())
    }

    fn row(&self, key: &[u8]) -> Row {
        let Some(rest) = key.strip_prefix(self.keys.range().start.as_ref()) else { return Row::Other };
        let Some((computation, rest)) = rest.split_first_chunk::<4>() else { return Row::Other };
        let computation = u32::from_be_bytes(*computation);
        match (computation, rest.split_first()) {
            (0, Some((b'c', _))) => Row::Catalogue,
            (0, Some((b'j', of))) => {
                let of = of.try_into().ok().map(u32::from_be_bytes);
                of.and_then(|of| self.computations.get(&of))
                    .map_or(Row::Other, |place| Row::Announced(*place))
            }
            (_, Some((kind, _))) => match self.computations.get(&computation) {
                Some(place) => Row::Of(*place, computation, char::from(*kind)),
                None => Row::Other,
            },
            _ => Row::Other,
        }
    }

    fn commit(&mut self, commit: &pelton_statestore::Commit) -> Result<Commit, Unreadable> {
        let mut out = Commit::default();
        for write in &commit.writes {
            match write {
                Write::Put { key, value } => self.put(&mut out, key, value)?,
                Write::Delete { key } => self.delete(&mut out, key)?,
                Write::DeleteRange { range } => match self.row(&range.start) {
                    Row::Of(_, _, 'd') => out.ids_removed.push((range.start.to_vec(), range.end.to_vec())),
                    Row::Of(_, _, kind) => {
                        return Err(unreadable("a commit")(format!("it deletes a range of kind {kind:?}")));
                    }
                    _ => {}
                },
            }
        }
        out.entries.sort_by_key(|(node, entry)| (*node, entry.step));
        Ok(out)
    }

    fn put(&mut self, out: &mut Commit, key: &Bytes, value: &Bytes) -> Result<(), Unreadable> {
        let (place, computation, kind) = match self.row(key) {
            Row::Catalogue => return self.learn(value),
            Row::Announced(computation) => {
                let announced: store::Announced = decode("what is announced", value)?;
                out.announced.push(Announced {
                    computation,
                    low_watermark_us: announced.low_watermark_us,
                    oldest_unacknowledged_ms: announced.oldest_unacknowledged_ms,
                });
                return Ok(());
            }
            Row::Of(place, computation, kind) => (place, computation, kind),
            Row::Other => return Ok(()),
        };
        let of = self.keys.computation(computation);
        match kind {
            'f' => {
                let fence: store::Fence = decode("a fence", value)?;
                out.fences.push(Fence {
                    computation: place,
                    first: fence.first_position,
                    last: fence.last_position,
                    sequencer: fence.sequencer,
                    commit_number: fence.commit_number,
                    token: fence.token.to_vec(),
                    input_watermark_us: fence.input_watermark_us,
                });
                return Ok(());
            }
            's' => {
                let at = of.read_state(key).map_err(malformed)?;
                if at.cell.as_ref() == b"journal" {
                    out.entries.push((Node { computation: place, key: number(&at.key)? }, state(value)?));
                }
            }
            't' => {
                let address = of.read_timer(key).map_err(malformed)?;
                let timer: store::Timer = decode("a timer", value)?;
                out.timers.push(timer_row(place, &address, Some((timer.fire_at_us, timer.output_time_us)))?);
            }
            'd' => out.ids.push((key.to_vec(), place, ids(value))),
            'o' => {
                let chunk: store::OutboxChunk = decode("an outbox chunk", value)?;
                let pending = chunk.productions.into_iter().filter_map(|it| self.production(it).transpose());
                out.outbox.push((key.to_vec(), place, pending.collect::<Result<_, _>>()?));
            }
            'p' => {
                let (of_key, _) = of.read_parked(key).map_err(malformed)?;
                let parked: store::Parked = decode("a parked record", value)?;
                let node = Node { computation: place, key: number(&of_key)? };
                let packet = packet(&parked.value)?;
                out.parked.push((key.to_vec(), Parked { node, packet, event_time_us: parked.event_time_us }));
            }
            'x' => {
                let (of_key, _) = of.read_dead_letter(key).map_err(malformed)?;
                let letter: store::DeadLetter = decode("a dead letter", value)?;
                out.dead.push((Node { computation: place, key: number(&of_key)? }, packet(&letter.value)?));
            }
            _ => {}
        }
        out.touched.extend(position(key, &of).map(|position| (place, kind, position)));
        Ok(())
    }

    fn delete(&self, out: &mut Commit, key: &Bytes) -> Result<(), Unreadable> {
        let Row::Of(place, computation, kind) = self.row(key) else { return Ok(()) };
        let of = self.keys.computation(computation);
        let position = position(key, &of);
        match kind {
            'f' => {
                out.fences_removed.extend(position.map(|last| (place, last)));
                return Ok(());
            }
            't' => {
                let address = of.read_timer(key).map_err(malformed)?;
                out.timers.push(timer_row(place, &address, None)?);
            }
            'o' => out.outbox_removed.push(key.to_vec()),
            'p' => out.parked_removed.push(key.to_vec()),
            _ => {}
        }
        out.touched.extend(position.map(|position| (place, kind, position)));
        Ok(())
    }

    fn production(&self, production: store::Production) -> Result<Option<Pending>, Unreadable> {
        let Some(stream) = self.streams.get(&production.stream) else { return Ok(None) };
        let id = production
            .id
            .as_ref()
            .try_into()
            .map_err(|_| unreadable("an id")("it has not 16 bytes".into()))?;
        Ok(Some(Pending {
            id: u128::from_be_bytes(id),
            stream: *stream,
            key: number(&Key::new(production.key))?,
            packet: packet(&production.value)?,
            event_time_us: production.event_time_us,
        }))
    }

    /// `None` where it is not between computations of the graph.
    fn letter(&self, letter: &pelton::Letter) -> Result<Option<Letter>, Unreadable> {
        let party = |it: Correspondent| {
            let computation = *self.computations.get(&it.computation)?;
            Some(Party { computation, first: it.first.0, sequencer: it.sequencer.get() })
        };
        let (Some(from), Some(to)) = (party(letter.from), party(letter.to)) else { return Ok(None) };
        let (number, content) = match &letter.content {
            LetterContent::Delivery { number, records } => {
                let pending = records.iter().filter_map(|(stream, record)| {
                    let pending = |stream: u16| {
                        Ok(Pending {
                            id: u128::from_be_bytes(record.id.to_bytes()),
                            stream,
                            key: self::number(&record.key)?,
                            packet: packet(&record.value)?,
                            event_time_us: record.event_time.as_micros(),
                        })
                    };
                    self.streams.get(stream).copied().map(pending)
                });
                (*number, Content::Delivery(pending.collect::<Result<_, _>>()?))
            }
            LetterContent::Acknowledgement { number } => (*number, Content::Acknowledgement),
            LetterContent::Refusal => (0, Content::Refusal),
        };
        Ok(Some(Letter { from, to, epoch: letter.epoch, number, content }))
    }
}

/// The key position that stands behind the kind, or the first position of an interval.
fn position(key: &[u8], of: &pelton_statestore::ComputationKeys) -> Option<u64> {
    let rest = key.strip_prefix(of.range().start.as_ref())?;
    rest.get(1..9)?.try_into().ok().map(u64::from_be_bytes)
}

fn ids(value: &[u8]) -> Vec<u128> {
    let (ids, _) = value.as_chunks::<16>();
    ids.iter().map(|id| u128::from_be_bytes(*id)).collect()
}

/// A source's own timer has the tag "more" or "start": what it holds counts too.
fn timer_row(
    computation: u16,
    address: &TimerAddress,
    set: Option<(i64, i64)>,
) -> Result<TimerRow, Unreadable> {
    let domain = match address.domain {
        TimeDomain::Event => Domain::Event,
        TimeDomain::Processing => Domain::Processing,
    };
    let tag = std::str::from_utf8(&address.tag).ok().and_then(|tag| tag.parse().ok()).unwrap_or(u8::MAX);
    let node = Node { computation, key: number(&address.key)? };
    Ok(TimerRow { node, name: TimerName { domain, tag }, set })
}

/// What happened in a simulated run, in the checker's words, with its time in microseconds.
///
/// # Errors
/// Where something that was recorded cannot be read.
pub fn events(history: &History) -> Result<Vec<(u64, Event)>, Unreadable> {
    let mut witness = Witness::new();
    let mut events = Vec::new();
    for (at, happened) in history.events() {
        let event = match happened {
            Happened::Commit(commit) => Some(Event::Commit(Box::new(witness.commit(&commit)?))),
            Happened::Letter(letter) => witness.letter(&letter)?.map(Event::Letter),
            Happened::Process(..) | Happened::Fault(_) => None,
        };
        let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        events.extend(event.map(|event| (at_us, event)));
    }
    Ok(events)
}

/// What the rows of a store say at the end.
///
/// # Errors
/// Where a row cannot be read.
pub fn end(rows: &[(Bytes, Bytes)]) -> Result<End, Unreadable> {
    let mut witness = Witness::new();
    let catalogue = witness.keys.catalogue();
    if let Some((_, catalogue)) = rows.iter().find(|(key, _)| *key == catalogue) {
        witness.learn(catalogue)?;
    }
    let (mut end, mut all) = (End::default(), Commit::default());
    for (key, value) in rows {
        witness.put(&mut all, key, value)?;
        let Row::Of(place, computation, kind) = witness.row(key) else { continue };
        let of = witness.keys.computation(computation);
        match kind {
            'f' => {
                let counted = decode::<store::Fence>("a fence", value)?.counters.unwrap_or_default();
                let sum = end.counters.entry(place).or_insert_with(Counters::default);
                sum.late_dropped += counted.late_dropped;
                sum.dead_lettered += counted.dead_lettered;
                sum.timers_fired += counted.timers_fired;
            }
            's' => {
                let at = of.read_state(key).map_err(malformed)?;
                if at.cell.as_ref() == b"state" {
                    end.states.insert(Node { computation: place, key: number(&at.key)? }, state(value)?);
                }
            }
            _ => {}
        }
    }
    for (node, entry) in all.entries {
        end.journals.entry(node).or_default().push(entry);
    }
    end.dead = all.dead;
    end.timers = all.timers.into_iter().map(|row| (row.node, row.name)).collect();
    end.parked = all.parked.into_iter().map(|(_, parked)| (parked.node, parked.packet)).collect();
    Ok(end)
}
