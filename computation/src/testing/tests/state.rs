//! State: every kind of cell, its expiry, and its schema from one harness to the next.

use super::*;
use crate::state::Migration;
use crate::testing::HarnessError;

#[test]
fn every_kind_of_cell_can_be_read() {
    let mut harness = harness();
    for number in [2, 1, 2] {
        harness.push(&ORDERS, "k", at(1), &Do::Keep(number)).unwrap();
    }
    assert_eq!(harness.combining(&SUM, "k").unwrap(), 5);
    let mut bag = harness.bag(&BAG, "k").unwrap();
    bag.sort_unstable();
    assert_eq!(bag, [1, 2, 2]);
    assert_eq!(harness.list(&LIST, "k").unwrap(), [2, 1, 2]);
    assert_eq!(harness.map(&MAP, "k").unwrap(), [(1, "1".to_owned()), (2, "2".to_owned())]);
    assert_eq!(harness.set(&SET, "k").unwrap(), [1, 2]);
    assert_eq!(harness.value(&BRIEFLY, "k").unwrap(), Some(2));
    assert_eq!((harness.value(&SEEN, "k").unwrap(), harness.combining(&SUM, "l").unwrap()), (None, 0));
}

#[test]
fn state_expires_by_the_clock() {
    let mut harness = harness();
    harness.push(&ORDERS, "k", at(1), &Do::Keep(1)).unwrap();
    harness.advance_clock(Duration::from_secs(59)).unwrap();
    assert_eq!(harness.value(&BRIEFLY, "k").unwrap(), Some(1));
    harness.advance_clock(Duration::from_secs(1)).unwrap();
    assert_eq!(harness.value(&BRIEFLY, "k").unwrap(), None);
    harness.advance_clock(Duration::from_secs(24 * 3600)).unwrap();
    assert_eq!(harness.set(&SET, "k").unwrap(), [1], "what does not expire stays");
}

#[test]
fn another_harness_on_the_store_goes_on_and_the_earlier_one_can_do_nothing_more() {
    let mut first = harness();
    first.push(&ORDERS, "k", at(1), &Do::Count).unwrap();
    first.push(&ORDERS, "k", at(1), &Do::Event { a: Some(10), b: None }).unwrap();
    first.advance_watermark(at(5)).unwrap();
    let mut second = builder().store(first.store()).clock_at(first.now()).build().unwrap();
    assert_eq!(second.value(&SEEN, "k").unwrap(), Some(1));
    assert!(counts(&mut second).is_empty(), "the first consumer has it");
    assert_eq!((second.input_watermark().unwrap(), second.output_watermark()), (at(5), at(5)));
    assert!(matches!(second.advance_watermark(at(4)), Err(HarnessError::WatermarkBack { .. })));
    let deposed = first.push(&ORDERS, "k", at(6), &Do::Count).unwrap_err();
    assert!(matches!(deposed, HarnessError::Stopped { .. }), "I1: {deposed}");
    second.push(&ORDERS, "k", at(6), &Do::Count).unwrap();
    second.advance_watermark(at(10)).unwrap();
    assert_eq!((counts(&mut second), fired(&mut second)), (vec![2], vec![timer("a", 10)]));
    assert_eq!(second.counters().records, 3);
}

static TEXT: Stream<String> = Stream::new("text");
static V1: Value<String> = Value::new("last");
static V2: Value<(String, u64)> =
    Value::new("last").schema(2, &[Migration { from: 1, upgrade: |old| Ok([old, &[0]].concat()) }]);
static UNMIGRATED: Value<(String, u64)> = Value::new("last").schema(2, &[]);

/// Keeps the last text; the cells differ in their schema.
#[derive(Clone)]
struct Last(&'static Value<(String, u64)>);

impl Computation for Last {
    type Input = String;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(self.0);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<String>) -> Result<(), Failure> {
        let (_, often) = self.0.get(cx).await?.unwrap_or_default();
        self.0.set(cx, &(input.value, often + 1))
    }
}

#[derive(Clone)]
struct FirstLast;

impl Computation for FirstLast {
    type Input = String;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&V1);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<String>) -> Result<(), Failure> {
        V1.set(cx, &input.value)
    }
}

#[test]
fn state_of_an_older_schema_is_migrated_or_refused() {
    let mut old = Harness::new(Step::new("last", FirstLast).reads(&TEXT)).unwrap();
    old.push(&TEXT, "k", at(1), &"one".to_owned()).unwrap();
    let refused =
        Harness::builder(Step::new("last", Last(&UNMIGRATED)).reads(&TEXT)).store(old.store()).build();
    assert!(refused.unwrap_err().to_string().contains("without migrations between them"));
    let new = Harness::builder(Step::new("last", Last(&V2)).reads(&TEXT)).store(old.store());
    let mut new = new.build().unwrap();
    assert_eq!(new.value(&V2, "k").unwrap(), Some(("one".to_owned(), 0)));
    new.push(&TEXT, "k", at(2), &"two".to_owned()).unwrap();
    assert_eq!(new.value(&V2, "k").unwrap(), Some(("two".to_owned(), 1)));
}
