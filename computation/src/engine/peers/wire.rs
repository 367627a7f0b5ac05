//! From messages to mail and back. What cannot be mail is [`Malformed`], never a guess.

use crate::engine::channel::{Delivery, Party};
use crate::engine::outbox::{ChunkId, Item};
use crate::engine::router::Mail;
use bytes::Bytes;
use pelton_domain::{CommitNumber, EventTime, Key, KeyInterval, KeyPosition, Record, Sequencer};
use pelton_injector::Worker;
use pelton_proto::worker::{self, answer};
use pelton_proto::{Malformed, convert};

/// A route as others tell it.
#[derive(Clone, Debug)]
pub(crate) struct AwayRoute {
    pub(crate) interval: KeyInterval,
    pub(crate) party: Party,
    pub(crate) worker: Worker,
    pub(crate) process: Bytes,
    pub(crate) address: String,
}

impl TryFrom<worker::Route> for AwayRoute {
    type Error = Malformed;

    fn try_from(route: worker::Route) -> Result<Self, Malformed> {
        let interval = convert::interval(route.first_position, route.last_position)?;
        let party = Party::of(route.computation, interval, sequencer("route", route.sequencer)?);
        // It is kept for long, and must not keep the message that it came in.
        let process = Bytes::copy_from_slice(&route.process);
        Ok(Self { interval, party, worker: route.worker.into(), process, address: route.address })
    }
}

fn sequencer(message: &'static str, number: u64) -> Result<Sequencer, Malformed> {
    Sequencer::new(number).ok_or_else(|| Malformed::new(message, "it has no sequencer"))
}

pub(super) fn party(party: Party) -> worker::Party {
    worker::Party {
        computation: party.address.computation,
        first_position: party.address.first.0,
        sequencer: party.sequencer.get(),
    }
}

pub(super) fn read_party(message: Option<&worker::Party>) -> Result<Party, Malformed> {
    let message =
        message.ok_or_else(|| Malformed::new("delivery", "it does not say from whom and to whom"))?;
    let address = super::super::channel::Address {
        computation: message.computation,
        first: KeyPosition(message.first_position),
    };
    Ok(Party { address, sequencer: sequencer("party", message.sequencer)? })
}

/// A delivery as it goes out.
pub(super) fn delivery(
    from: Party,
    to: Party,
    epoch: u64,
    number: u64,
    delivery: &Delivery,
) -> worker::ChannelDelivery {
    let record = |item: &Item| worker::Record {
        stream: item.stream,
        id: Bytes::copy_from_slice(&item.record.id.to_bytes()),
        key: item.record.key.to_bytes(),
        value: item.record.value.clone(),
        event_time_us: item.record.event_time.as_micros(),
    };
    let records = delivery.items.iter().map(record).collect();
    worker::ChannelDelivery { from: Some(party(from)), to: Some(party(to)), epoch, number, records }
}

/// A delivery that came in.
pub(super) struct Received {
    pub(super) from: Party,
    pub(super) to: Party,
    pub(super) mail: Mail,
}

pub(super) fn read_delivery(message: &worker::ChannelDelivery) -> Result<Received, Malformed> {
    let (from, to) = (read_party(message.from.as_ref())?, read_party(message.to.as_ref())?);
    let items = message.records.iter().map(read_item).collect::<Result<Vec<_>, _>>()?;
    if let Some(item) = items.iter().find(|item| item.record.key.as_bytes().len() > Key::LENGTH_MAX) {
        let length = item.record.key.as_bytes().len();
        return Err(Malformed::new(
            "record",
            format!("a key of {length} bytes; {} is the most", Key::LENGTH_MAX),
        ));
    }
    let bytes = items.iter().map(|item| item.record.size_bytes()).sum();
    // The chunk is the sender's business.
    let delivery = Delivery { chunk: ChunkId::strong(CommitNumber(0)), items: items.into(), bytes };
    let mail = Mail::Deliver { from, epoch: message.epoch, number: message.number, delivery };
    Ok(Received { from, to, mail })
}

/// Key and value are copied: a record may stay for long, and must not keep the whole message that it came in.
fn read_item(message: &worker::Record) -> Result<Item, Malformed> {
    let record = Record {
        id: convert::record_id(&message.id)?,
        key: Key::from(message.key.as_ref()),
        value: Bytes::copy_from_slice(&message.value),
        event_time: EventTime::from_micros(message.event_time_us),
    };
    Ok(Item { stream: message.stream, record })
}

/// An answer to the sender `to`; `None` where `mail` is none.
pub(super) fn answer(to: Party, mail: &Mail) -> Option<worker::Answer> {
    let (from, epoch, kind, at_end) = match mail {
        Mail::Deliver { .. } => return None,
        Mail::Acknowledge { from, epoch, number, at_end } => {
            (from, epoch, answer::Kind::Acknowledged(*number), *at_end)
        }
        Mail::Refuse { from, epoch } => (from, epoch, answer::Kind::Refused(worker::Refused {}), false),
    };
    let (from, to) = (Some(party(to)), Some(party(*from)));
    Some(worker::Answer { from, to, epoch: *epoch, at_end, kind: Some(kind) })
}

/// What an answer says, and to which of our intervals.
pub(super) enum Answered {
    Mail(Party, Mail),
    NotHere(Option<worker::Route>),
}

pub(super) fn read_answer(message: worker::Answer) -> Result<Answered, Malformed> {
    let (to, from) = (read_party(message.from.as_ref())?, read_party(message.to.as_ref())?);
    let (epoch, at_end) = (message.epoch, message.at_end);
    match message.kind {
        Some(answer::Kind::Acknowledged(number)) => {
            Ok(Answered::Mail(to, Mail::Acknowledge { from, epoch, number, at_end }))
        }
        Some(answer::Kind::Refused(_)) => Ok(Answered::Mail(to, Mail::Refuse { from, epoch })),
        Some(answer::Kind::NotHere(not_here)) => Ok(Answered::NotHere(not_here.owner)),
        None => Err(Malformed::new("answer", "it says nothing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_domain::{RecordId, SystemTime};
    use pelton_proto::Message;
    use proptest::prelude::*;

    fn a_party(computation: u32, first: u64, sequencer: u64) -> Party {
        let interval = KeyInterval::new(KeyPosition(first), KeyPosition(u64::MAX)).unwrap();
        Party::of(computation, interval, Sequencer::new(sequencer).unwrap())
    }

    proptest! {
        #[test]
        fn a_delivery_survives_the_round_trip(
            records in proptest::collection::vec((any::<u32>(), any::<Vec<u8>>(), any::<Vec<u8>>(), any::<i64>()), 0..20),
            first: u64, epoch: u64, number: u64,
        ) {
            let (from, to) = (a_party(1, first, 7), a_party(2, 0, 9));
            let items: Vec<Item> = records.into_iter().map(|(stream, key, value, at)| {
                let id = RecordId::assigned(SystemTime::from_millis(5), from.sequencer, stream);
                Item { stream, record: Record { id, key: Key::from(key), value: value.into(), event_time: EventTime::from_micros(at) } }
            }).collect();
            let sent = Delivery { chunk: ChunkId::strong(CommitNumber(3)), bytes: 0, items: items.clone().into() };
            let bytes = delivery(from, to, epoch, number, &sent).encode_to_vec();
            let read = read_delivery(&worker::ChannelDelivery::decode(bytes.as_slice()).unwrap()).unwrap();
            prop_assert_eq!((read.from, read.to), (from, to));
            let Mail::Deliver { from: sender, epoch: e, number: n, delivery } = read.mail else { panic!("no delivery") };
            prop_assert_eq!((sender, e, n), (from, epoch, number));
            prop_assert_eq!(&*delivery.items, items.as_slice());
        }

        #[test]
        fn an_acknowledgement_survives_the_round_trip(epoch: u64, number: u64, at_end: bool) {
            let (sender, receiver) = (a_party(1, 5, 7), a_party(2, 0, 9));
            let sent = answer(sender, &Mail::Acknowledge { from: receiver, epoch, number, at_end }).unwrap();
            let read = worker::Answer::decode(sent.encode_to_vec().as_slice()).unwrap();
            let Answered::Mail(to, Mail::Acknowledge { from, epoch: e, number: n, at_end: end }) =
                read_answer(read).unwrap()
            else {
                panic!("no acknowledgement")
            };
            prop_assert_eq!((to, from, e, n, end), (sender, receiver, epoch, number, at_end));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(batch) = worker::Batch::decode(bytes.as_slice()) {
                let _ = batch.deliveries.iter().map(read_delivery).filter(Result::is_ok).count();
            }
            if let Ok(answers) = worker::Answers::decode(bytes.as_slice()) {
                let _ = answers.answers.into_iter().map(read_answer).filter(Result::is_ok).count();
            }
            if let Ok(route) = worker::Route::decode(bytes.as_slice()) {
                let _ = AwayRoute::try_from(route).is_ok();
            }
        }
    }

    #[test]
    fn what_says_nothing_is_malformed() {
        assert!(read_delivery(&worker::ChannelDelivery::default()).is_err());
        assert!(read_answer(worker::Answer::default()).is_err());
        let key = vec![0; Key::LENGTH_MAX + 1].into();
        let id = RecordId::assigned(SystemTime::from_millis(5), Sequencer::new(1).unwrap(), 0).to_bytes();
        let record = worker::Record { id: Bytes::copy_from_slice(&id), key, ..worker::Record::default() };
        let message = worker::ChannelDelivery {
            from: Some(party(a_party(1, 0, 1))),
            to: Some(party(a_party(2, 0, 1))),
            records: vec![record],
            ..worker::ChannelDelivery::default()
        };
        let error = read_delivery(&message).err().unwrap().to_string();
        assert!(error.contains("a key of 4097 bytes"), "{error}");
    }
}
