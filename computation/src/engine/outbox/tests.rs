use super::*;
use crate::engine::channel::Address;
use pelton_domain::{KeyInterval, Name, RecordId, Sequencer};
use pelton_statestore::PipelineKeys;

const NOW: ProcessingTime = ProcessingTime::from_secs(0);

struct Fixed(Vec<(KeyInterval, u64)>);

impl Routes for Fixed {
    fn subscribers(&self, _: u32, _: u32) -> &[u32] {
        &[2]
    }
    fn owner(&self, computation: u32, position: KeyPosition) -> Option<Party> {
        let (interval, sequencer) = self.0.iter().find(|(i, _)| i.contains(position))?;
        let address = Address { computation, first: interval.first() };
        Some(Party { address, sequencer: Sequencer::new(*sequencer)? })
    }
}

fn production(n: u64) -> Production {
    let id = RecordId::assigned(SystemTime::from_millis(n), Sequencer::new(1).unwrap(), 0);
    let at = EventTime::from_micros(i64::try_from(n).unwrap());
    let record = Record { id, key: Key::from(n % 5), value: Bytes::from(vec![0; 100]), event_time: at };
    Production { producer_key: Key::from("p"), item: Item { stream: 1, record } }
}

fn outbox() -> Outbox {
    Outbox::new(Credit { records_max: 1000, bytes_max: 1 << 20 })
}

fn sent(outbox: &mut Outbox) -> Vec<(Party, u64, u64, Delivery)> {
    let mut all = Vec::new();
    outbox.pump(NOW, |party, epoch, number, delivery| all.push((party, epoch, number, delivery)));
    all
}

#[test]
fn a_chunk_holds_the_watermark_until_acknowledged_and_the_promise_until_removed() {
    let (mut outbox, routes) = (outbox(), Fixed(vec![(KeyInterval::FULL, 1)]));
    outbox.add(
        ChunkId::strong(CommitNumber(1)),
        vec![Bytes::from_static(b"k")],
        vec![production(7)],
        1,
        &routes,
        NOW,
    );
    let (party, epoch, number, _) = sent(&mut outbox).remove(0);
    assert_eq!(outbox.hold(), EventTime::from_micros(7));
    outbox.acknowledged(party, epoch, number, NOW);
    assert_eq!((outbox.hold(), outbox.oldest_id()), (EventTime::MAX, Some(SystemTime::from_millis(7))));
    let (numbers, keys) = outbox.removable();
    assert_eq!(keys, [Bytes::from_static(b"k")]);
    outbox.removed(&numbers);
    assert_eq!(outbox.oldest_id(), None);
}

#[test]
fn what_went_to_an_interval_that_was_split_goes_to_its_parts_in_order() {
    let (low, high) = KeyInterval::FULL.halves().unwrap();
    let (mut outbox, before) = (outbox(), Fixed(vec![(KeyInterval::FULL, 1)]));
    for chunk in 0..6u64 {
        let productions = (0..5).map(|i| production(chunk * 5 + i)).collect();
        outbox.add(ChunkId::strong(CommitNumber(chunk)), vec![], productions, 1, &before, NOW);
    }
    let first = sent(&mut outbox);
    outbox.acknowledged(first[0].0, first[0].1, first[0].2, NOW);
    let after = Fixed(vec![(low, 2), (high, 3)]);
    outbox.reroute(&after, NOW);
    let mut resent = sent(&mut outbox);
    assert!(outbox.receivers().len() == 2);
    for interval in [low, high] {
        let numbers: Vec<u64> = resent
            .iter()
            .filter(|(party, ..)| party.address.first == interval.first())
            .flat_map(|(.., delivery)| {
                delivery.items.iter().map(|item| item.record.id.system_time().as_millis())
            })
            .collect();
        assert!(numbers.is_sorted() && numbers.iter().all(|n| *n >= 5), "I9: {numbers:?}");
    }
    for (party, epoch, number, _) in resent.drain(..) {
        outbox.acknowledged(party, epoch, number, NOW);
    }
    assert_eq!(outbox.hold(), EventTime::MAX, "I5: both parts of each chunk are acknowledged");
}

#[test]
fn what_nobody_owns_waits_for_an_owner() {
    let mut outbox = outbox();
    outbox.add(ChunkId::strong(CommitNumber(1)), vec![], vec![production(1)], 1, &Fixed(vec![]), NOW);
    assert!(sent(&mut outbox).is_empty());
    assert_eq!(outbox.hold(), EventTime::from_micros(1));
    outbox.reroute(&Fixed(vec![(KeyInterval::FULL, 4)]), NOW);
    assert_eq!(sent(&mut outbox).len(), 1);
}

#[test]
fn a_chunk_survives_the_store_in_parts() {
    let keys = PipelineKeys::new(&Name::new("p").unwrap()).computation(1);
    let productions: Vec<_> = (0..2000).map(production).collect();
    let parts = encode(&keys, KeyPosition(0), ChunkId::strong(CommitNumber(3)), 9, &productions);
    assert!(parts.len() > 1 && parts.iter().all(|(_, value)| value.len() < 100_000));
    let back: Vec<_> = parts.iter().flat_map(|(_, value)| decode(value).unwrap().1).collect();
    assert_eq!(back, productions);
}

#[test]
fn what_is_not_acknowledged_is_sent_again_from_the_oldest() {
    let (mut outbox, routes) = (outbox(), Fixed(vec![(KeyInterval::FULL, 1)]));
    for chunk in 0..3u64 {
        outbox.add(ChunkId::strong(CommitNumber(chunk)), vec![], vec![production(chunk)], 1, &routes, NOW);
    }
    let first = sent(&mut outbox);
    outbox.acknowledged(first[1].0, first[1].1, first[1].2, NOW);
    let patience = Duration::from_secs(10);
    outbox.resend(patience, NOW.plus(Duration::from_secs(9)));
    assert!(sent(&mut outbox).is_empty());
    outbox.resend(patience, NOW.plus(patience));
    let again: Vec<u64> = sent(&mut outbox).iter().map(|(.., delivery)| delivery.chunk.number.0).collect();
    assert_eq!(again, [0, 2], "I5");
}
