//! Published streams in an interval: offsets, retention, crashes in the middle of a commit (I2, I11).

use super::*;
use crate::codec::{Json, Raw};
use crate::flow::Flow;
use crate::outlet::Outlet;
use crate::source::JsonLinesSource;
use crate::testing::Harness;
use log::read_ledger;
use pelton_domain::{EventTime, Key};
use pelton_proto::{Message, store};
use pelton_statestore::keys::{PipelineKeys, all_pipelines, pipeline_of};
use pelton_statestore::{ComputationKeys, Scan};

static ORDERS: Stream<Bytes, Raw> = Stream::new("orders");

const HOUR: Duration = Duration::from_secs(3_600);

/// A harness around one of the two steps of a published stream.
fn step(name: &str, publish: Publish<Bytes, Raw>) -> Harness {
    let steps = publish.into_steps();
    Harness::new(steps.into_iter().filter(|step| step.name == name).collect::<Vec<_>>()).unwrap()
}

fn log(publish: Publish<Bytes, Raw>) -> (Harness, Stream<Bytes, Raw>) {
    (step("orders.log", publish), Stream::named("orders.published"))
}

fn one() -> Publish<Bytes, Raw> {
    Publish::new("orders", &ORDERS).partitions(1)
}

fn push(harness: &mut Harness, to: &Stream<Bytes, Raw>, values: impl IntoIterator<Item = u64>) {
    for value in values {
        let record = partition::encode(&Key::from("k"), value.to_string().into(), EventTime::from_secs(7));
        harness.push(to, "0/1", EventTime::from_secs(7), &record).unwrap();
    }
}

fn now<T>(work: impl Future<Output = T>) -> T {
    futures_util::FutureExt::now_or_never(work).expect("a store in memory answers at once")
}

/// The keys of the log, whose number the catalogue has.
fn keys(harness: &Harness) -> ComputationKeys {
    let store = harness.store();
    let page = now(store.scan(Scan::page_of(all_pipelines()))).unwrap();
    let pipeline = PipelineKeys::new(&pipeline_of(&page.entries[0].0).unwrap());
    let catalogue = now(store.read(vec![pipeline.catalogue()])).unwrap().remove(0).unwrap();
    let catalogue = store::Catalogue::decode(catalogue).unwrap();
    let log = catalogue.computations.iter().find(|known| known.name == "orders.log").unwrap();
    pipeline.computation(log.number)
}

/// Offsets and values, as a subscriber finds them in the store.
fn kept(harness: &Harness) -> Vec<(u64, String)> {
    let (keys, store) = (keys(harness), harness.store());
    let scan = Scan {
        entries_max: 100_000,
        ..Scan::page_of(keys.published_between(&Key::from("0/1"), 0, u64::MAX))
    };
    let scan = Scan { bytes_max: usize::MAX, ..scan };
    let page = now(store.scan(scan)).unwrap();
    let entry = |(place, stored): (Bytes, Bytes)| {
        let stored = store::Published::decode(stored).unwrap();
        assert_eq!((stored.key.as_ref(), stored.event_time_us), (&b"k"[..], 7_000_000));
        (keys.read_published(&place).unwrap().1, String::from_utf8(stored.value.to_vec()).unwrap())
    };
    page.entries.into_iter().map(entry).collect()
}

fn expected(numbers: std::ops::Range<u64>) -> Vec<(u64, String)> {
    numbers.map(|number| (number, number.to_string())).collect()
}

fn ledger(harness: &Harness) -> ledger::Ledger {
    let (keys, store) = (keys(harness), harness.store());
    let place = keys.state(&Key::from("0/1"), &[], log::LEDGER_CELL.as_bytes(), &[]);
    let stored = now(store.read(vec![place])).unwrap();
    read_ledger(stored[0].as_ref()).unwrap()
}

#[test]
fn i9_the_records_of_a_key_go_to_one_partition_with_their_values_as_they_are() {
    let mut harness = step("orders.publish", Publish::new("orders", &ORDERS).partitions(8));
    for (key, value) in [("ann", "1"), ("bob", "\u{0}\u{1}"), ("ann", "2")] {
        harness.push(&ORDERS, key, EventTime::from_secs(3), &Bytes::from_static(value.as_bytes())).unwrap();
    }
    let mut out = harness.output(&Stream::<Bytes, Raw>::named("orders.published")).unwrap();
    let partitions = Partitions::new(8);
    out.sort_by_key(|record| record.key.clone());
    for record in &out {
        let sent = store::Published::decode(record.value.clone()).unwrap();
        assert_eq!(record.key, partitions.key(partitions.of(&Key::new(sent.key))));
        assert_eq!((record.event_time, sent.event_time_us), (EventTime::from_secs(3), 3_000_000));
    }
    let of_ann = partitions.key(partitions.of(&Key::from("ann")));
    let of_ann = out.iter().filter(|record| record.key == of_ann);
    let sent = of_ann.map(|record| store::Published::decode(record.value.clone()).unwrap());
    let values: Vec<_> = sent.filter(|sent| sent.key == "ann").map(|sent| sent.value).collect();
    assert_eq!(values, ["1", "2"]);
}

#[test]
fn i2_i6_offsets_have_no_gap_and_nothing_has_two_through_crashes_and_repetitions() {
    let (mut harness, to) = log(one());
    push(&mut harness, &to, 0..5);
    harness.hold_commits();
    push(&mut harness, &to, 5..8);
    harness.crash().unwrap();
    assert_eq!(kept(&harness), expected(0..8), "what was not acknowledged has come again");
    harness.hold_commits();
    push(&mut harness, &to, 8..12);
    harness.crash_after_commit().unwrap();
    push(&mut harness, &to, 12..13);
    assert_eq!(kept(&harness), expected(0..13));
    assert_eq!((ledger(&harness).first, ledger(&harness).next), (0, 13));
}

#[test]
fn i11_a_log_keeps_no_more_records_than_it_may() {
    let (mut harness, to) = log(one().keeps_records(1_000));
    push(&mut harness, &to, 0..1_000);
    assert_eq!(kept(&harness), expected(0..1_000));
    push(&mut harness, &to, 1_000..2_500);
    let first = ledger(&harness).first;
    assert!((1_500..1_500 + 256).contains(&first), "{first}");
    assert_eq!(kept(&harness), expected(first..2_500));
    harness.crash().unwrap();
    push(&mut harness, &to, 2_500..2_501);
    assert_eq!(kept(&harness).last().unwrap().0, 2_500);
    assert!(harness.entries("0/1").unwrap() < 8, "what is kept of blocks goes with them");
}

#[test]
fn i8_records_expire_by_the_clock_whether_or_not_others_come() {
    let (mut harness, to) = log(one().keeps_for(HOUR));
    push(&mut harness, &to, 0..300);
    harness.advance_clock(HOUR / 2).unwrap();
    push(&mut harness, &to, 300..310);
    harness.crash().unwrap();
    assert_eq!(kept(&harness), expected(0..310));
    harness.advance_clock(HOUR / 2).unwrap();
    assert_eq!(kept(&harness), expected(300..310));
    harness.advance_clock(HOUR / 2).unwrap();
    assert_eq!(kept(&harness), []);
    assert!(harness.timers("0/1").unwrap().iter().all(|timer| timer.tag != "collect"));
    assert_eq!((ledger(&harness).first, ledger(&harness).next), (310, 310), "offsets are not given again");
    push(&mut harness, &to, 310..311);
    assert_eq!(kept(&harness), expected(310..311));
    harness.advance_clock(HOUR).unwrap();
    assert_eq!(kept(&harness), []);
}

#[test]
fn i7_a_log_holds_no_watermark_and_a_finished_stream_waits_for_nothing_and_stays() {
    let (mut harness, to) = log(one().keeps_for(HOUR));
    push(&mut harness, &to, 0..3);
    harness.advance_watermark(EventTime::from_secs(100)).unwrap();
    assert_eq!(harness.output_watermark(), EventTime::from_secs(100));
    let timers = harness.timers("0/1").unwrap();
    assert!(timers.iter().any(|timer| timer.tag == "collect"));
    harness.finish().unwrap();
    assert_eq!(harness.output_watermark(), EventTime::MAX);
    assert_eq!(harness.timers("0/1").unwrap(), []);
    push(&mut harness, &to, 3..4);
    assert_eq!(harness.timers("0/1").unwrap(), []);
    harness.advance_clock(HOUR * 3).unwrap();
    assert_eq!(kept(&harness), expected(0..4));
}

#[test]
fn a_flow_sends_records_to_their_partition_as_json_without_a_step_between() {
    let log = PublishedLog::new("hours".to_owned());
    let routed = Outlet::published::<Json>(&log);
    let routed = routed.route((1, "a".to_owned()), Key::from("ann"), EventTime::from_secs(3)).unwrap();
    let [record] = routed.as_slice() else { panic!("{} records", routed.len()) };
    let partitions = Partitions::default();
    assert_eq!(record.key, partitions.key(partitions.of(&Key::from("ann"))));
    assert_eq!((record.stream.name(), record.event_time), ("hours.published", EventTime::from_secs(3)));
    let sent = store::Published::decode(record.value.clone()).unwrap();
    assert_eq!((sent.key.as_ref(), sent.value.as_ref()), (&b"ann"[..], &br#"[1,"a"]"#[..]));

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lines.jsonl");
    std::fs::write(&file, "[1,\"a\"]\n").unwrap();
    static LINES: Stream<(i64, String)> = Stream::new("lines");
    let lines = JsonLinesSource::<(i64, String)>::new(&file, &LINES)
        .key(|(_, line)| line.as_str().into())
        .event_time(|(second, _)| EventTime::from_secs(*second));
    let flow = Flow::new("words");
    flow.read(lines).map(|(_, line)| line).publish("words");
    let graph = flow.build().unwrap().graph().to_text();
    assert!(
        graph.contains("words.log: words.published -> -") && !graph.contains("words.publish:"),
        "{graph}"
    );
}
