//! What operators make of a graph, and what is wrong with one.

use super::*;
use crate::flow::{Dedup, Enrich, Rate};
use crate::join::Offset;
use crate::{Computation, Context, Declaration, Failure, Input};

static EVEN: Stream<u32> = Stream::new("even");
static ODD: Stream<u32> = Stream::new("odd");

/// Sorts numbers onto two streams.
#[derive(Clone)]
struct Sort;

impl Computation for Sort {
    type Input = u32;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.output(&EVEN).output(&ODD);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u32>) -> Result<(), Failure> {
        let stream = if input.value.is_multiple_of(2) { &EVEN } else { &ODD };
        cx.emit(stream, input.key, input.event_time, &input.value)
    }
}

fn problem(say: impl FnOnce(&Flow, Records<'_, u32>)) -> String {
    let error = built(|flow, folder| say(flow, flow.read(numbers(folder.path()))));
    error.unwrap_err().to_string()
}

fn sent<T: serde::Serialize + serde::de::DeserializeOwned + 'static>(records: &Records<'_, T>, stream: &str) {
    records.send(&Stream::<T>::named(stream));
}

#[test]
fn what_is_done_behind_a_computation_of_ones_own_is_fused_into_it() {
    let pipeline = built(|flow, folder| {
        let numbers = flow.read(numbers(folder.path()));
        let sorted = numbers.key_by(parity).process("sort", Sort);
        sent(&sorted.stream(&EVEN).map(|n| n / 2).merge(&numbers), "halves");
        sent(&sorted.stream(&EVEN).filter(|n| *n > 2), "all");
    });
    let pipeline = pipeline.unwrap();
    let text = pipeline.graph().to_text();
    assert!(text.contains("sort: sort.in -> odd, halves, all\n"), "{text}");
    assert!(
        text.contains("    fused: map -> halves\n") && text.contains("    fused: filter -> all\n"),
        "{text}"
    );
    let streams = pipeline.graph().streams();
    let halves = streams.iter().find(|(name, ..)| *name == "halves").unwrap();
    assert_eq!(halves.1, ["numbers.read", "sort"], "merging costs no step");
}

#[test]
fn a_stream_that_a_computation_does_not_produce_is_named() {
    static OTHER: Stream<u32> = Stream::new("other");
    let error = problem(|_, numbers| {
        sent(&numbers.key_by(parity).process("sort", Sort).stream(&OTHER), "out");
    });
    assert!(error.contains("step \"sort\" does not produce stream \"other\", only [even, odd]"), "{error}");
    static TEXT: Stream<String> = Stream::new("even");
    let error = problem(|_, numbers| {
        sent(&numbers.key_by(parity).process("sort", Sort).stream(&TEXT), "out");
    });
    assert!(error.contains("stream \"even\" of step \"sort\" is u32 (postcard) there and"), "{error}");
    let error = problem(|_, numbers| {
        let _ = numbers.key_by(parity).process("sort", Sort).stream(&ODD);
    });
    assert!(error.contains("nothing is done with stream \"odd\" of step \"sort\""), "{error}");
}

#[test]
fn what_cannot_be_is_said_with_the_name_of_its_step() {
    let one = std::time::Duration::from_secs(1);
    let said = problem(|flow, numbers| {
        let keyed = || numbers.key_by(parity);
        let between = keyed().join(keyed()).between(Offset::after(one), Offset::before(one));
        sent(&between.inner("between", |a, b| a + b), "a");
        let early = keyed().join(keyed()).window(minutes()).trigger(Trigger::after_count(1));
        sent(&early.inner("early", |a, b| a + b), "b");
        sent(&keyed().dedup("dedup", Dedup::within(std::time::Duration::ZERO)), "c");
        sent(&keyed().rate_limit("limit", Rate::per_second(0)), "d");
        sent(&keyed().enrich("ask", Enrich::concurrency(0), async |n| Ok(n)), "e");
        sent(&numbers.side_input(keyed().table(), parity).copies(0).join("side", |n, _| n), "f");
        keyed().reduce("lost", |a, b| a + b);
        let _ = flow;
    });
    for problem in [
        "step \"between\": its lower bound",
        "step \"early\": a join tells what meets in a window once",
        "step \"dedup\": within no time",
        "step \"limit\": a rate of 0",
        "step \"ask\": with a concurrency of 0",
        "step \"side\": a side input needs a copy",
        "nothing is done with what step \"lost\" gives",
    ] {
        assert!(said.contains(problem), "{problem}: {said}");
    }
}

#[test]
fn records_of_another_flow_are_refused() {
    let error = built(|flow, folder| {
        let other = Flow::new("other");
        let (here, there) = (flow.read(numbers(folder.path())), other.read(numbers(folder.path())));
        sent(&here.merge(&there), "both");
    });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("of flow \"flow\" and of flow \"other\" are merged or joined"), "{error}");
}

#[test]
fn two_operators_of_one_name_are_refused() {
    let error = problem(|_, numbers| {
        sent(&numbers.key_by(parity).reduce("twice", |a, b| a + b), "a");
        sent(&numbers.key_by(parity).rate_limit("twice", Rate::per_second(1)), "b");
    });
    assert!(error.contains("two computations are named \"twice\""), "{error}");
}
