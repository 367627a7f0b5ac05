use super::*;
use crate::codec::Raw;
use crate::testing::Harness;
use bytes::Bytes;
use pelton_domain::EventTime;
use pelton_proto::ingest::IngestRecord;

static ORDERS: Stream<Bytes, Raw> = Stream::new("orders");

/// The step that appends; what it reads is of the type of what comes from outside.
fn appending(horizon: Duration) -> (Harness, Stream<IngestRecord, Prost>) {
    let steps = Ingest::new(&ORDERS).remembers_for(horizon).into_steps();
    let append: Vec<ErasedStep> = steps.into_iter().filter(|step| step.name == "orders.ingest").collect();
    (Harness::new(append).unwrap(), Stream::named("orders.clock"))
}

fn record(id: &str, key: &str, event_time_us: Option<i64>) -> IngestRecord {
    IngestRecord {
        id: id.to_owned().into(),
        key: key.to_owned().into(),
        value: Bytes::from_static(b"v"),
        event_time_us,
    }
}

fn keys(harness: &mut Harness) -> Vec<String> {
    harness.output(&ORDERS).unwrap().into_iter().map(|output| output.key.to_string()).collect()
}

#[test]
fn i6_an_id_is_known_within_the_horizon_and_new_after_it() {
    let hour = Duration::from_secs(3600);
    let (mut harness, outside) = appending(hour);
    let push = |harness: &mut Harness, client: &str, id: &str, key: &str| {
        harness.push(&outside, client, EventTime::MIN, &record(id, key, Some(7))).unwrap();
    };
    push(&mut harness, "ann", "1", "first");
    push(&mut harness, "ann", "1", "again");
    push(&mut harness, "bob", "1", "of another client");
    assert_eq!(keys(&mut harness), ["first", "of another client"]);
    harness.crash().unwrap();
    harness.advance_clock(hour - Duration::from_secs(1)).unwrap();
    push(&mut harness, "ann", "1", "within the horizon, after a crash");
    assert_eq!(keys(&mut harness), [""; 0]);
    harness.advance_clock(Duration::from_secs(2)).unwrap();
    push(&mut harness, "ann", "1", "after the horizon");
    assert_eq!(keys(&mut harness), ["after the horizon"]);
}

#[test]
fn a_record_has_its_own_event_time_or_that_of_its_arrival() {
    let (mut harness, outside) = appending(Duration::from_secs(60));
    for (id, time) in [("1", Some(7)), ("2", None)] {
        harness.push(&outside, "ann", EventTime::MIN, &record(id, "k", time)).unwrap();
    }
    let arrival = EventTime::from_micros(harness.now().as_micros());
    let times: Vec<_> =
        harness.output(&ORDERS).unwrap().into_iter().map(|output| output.event_time).collect();
    assert_eq!(times, [EventTime::from_micros(7), arrival]);
}

#[test]
fn i10_what_comes_after_the_end_is_not_taken_in_and_its_id_is_not_kept() {
    let (mut harness, outside) = appending(Duration::from_secs(60));
    harness.push(&outside, "ann", EventTime::MIN, &record("1", "before", None)).unwrap();
    harness.finish().unwrap();
    harness.push(&outside, "ann", EventTime::MIN, &record("2", "after", None)).unwrap();
    harness.push(&outside, "ann", EventTime::MIN, &record("1", "again", None)).unwrap();
    assert_eq!(keys(&mut harness), ["before"]);
    assert!(harness.dead_letters().unwrap().is_empty(), "whoever sent it is told instead");
    let ids: crate::Set<Bytes, Raw> = crate::Set::new(append::IDS).expires_after(Duration::from_secs(60));
    assert_eq!(harness.set(&ids, "ann").unwrap(), [Bytes::from_static(b"1")]);
}

#[test]
fn i7_the_watermark_follows_the_clock_less_the_disorder() {
    let steps = Ingest::new(&ORDERS).disorder(Duration::from_secs(5)).into_steps();
    let clock: Vec<ErasedStep> = steps.into_iter().filter(|step| step.name == "orders.clock").collect();
    let mut harness = Harness::new(clock).unwrap();
    for _ in 0..10 {
        harness.advance_clock(Duration::from_millis(200)).unwrap();
        let behind = harness.now().minus(Duration::from_secs(5));
        assert_eq!(harness.output_watermark(), EventTime::from_micros(behind.as_micros()));
        harness.crash().unwrap();
    }
}
