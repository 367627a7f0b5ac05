//! The rules of the aggregate, one by one (I7); `model_tests` has them all at once.

use super::*;
use crate::graph::Node;
use crate::report::{Holder, HolderKind};
use pelton_domain::{EventTime, Key, Name, Sequencer, SystemTime};

fn graph(edges: &[(u32, &[u32])]) -> Arc<Graph> {
    let node = |(computation, producers): &(u32, &[u32])| Node {
        computation: *computation,
        name: Name::new(&format!("c{computation}")).unwrap(),
        producers: producers.to_vec(),
    };
    Arc::new(Graph::new(edges.iter().map(node)).unwrap())
}

fn halves() -> (KeyInterval, KeyInterval) {
    KeyInterval::FULL.halves().unwrap()
}

fn assignment(interval: KeyInterval, sequencer: u64) -> Assignment {
    let sequencer = Sequencer::new(sequencer).unwrap();
    Assignment { interval, sequencer, worker: format!("w{sequencer}").into() }
}

fn report(computation: u32, interval: KeyInterval, sequencer: u64, secs: i64) -> IntervalReport {
    IntervalReport {
        computation,
        interval,
        sequencer: Sequencer::new(sequencer).unwrap(),
        low_watermark: EventTime::from_secs(secs),
        oldest_unacknowledged: SystemTime::from_millis(u64::try_from(secs).unwrap() * 1000),
        holder: None,
        load: Load::default(),
    }
}

fn at(secs: i64) -> ProcessingTime {
    ProcessingTime::from_secs(secs)
}

fn announced(secs: u64) -> Announced {
    Announced {
        low_watermark: EventTime::from_secs(i64::try_from(secs).unwrap()),
        oldest_unacknowledged: SystemTime::from_millis(secs * 1000),
    }
}

/// Two computations, 1 before 2, each in two halves under reigns 1 and 2, which have reported 10 s and 20 s.
fn running() -> Aggregate {
    let mut aggregate = Aggregate::new(graph(&[(1, &[]), (2, &[1])]), []);
    let (low, high) = halves();
    for computation in [1, 2] {
        aggregate.reassign(computation, vec![assignment(low, 1), assignment(high, 2)]).unwrap();
        assert_eq!(aggregate.report(report(computation, low, 1, 10), at(0)), Ok(Accepted::Holds));
        assert_eq!(aggregate.report(report(computation, high, 2, 20), at(0)), Ok(Accepted::Advances));
    }
    announce(&mut aggregate);
    aggregate
}

fn announce(aggregate: &mut Aggregate) {
    while let Some(proposal) = aggregate.proposal(100) {
        aggregate.journaled(proposal);
    }
}

#[test]
fn i7_a_computation_follows_its_slowest_interval() {
    let mut aggregate = running();
    assert_eq!(aggregate.announced(1), announced(10));
    let (low, _) = halves();
    assert_eq!(aggregate.report(report(1, low, 1, 15), at(1)), Ok(Accepted::Advances));
    announce(&mut aggregate);
    assert_eq!(aggregate.announced(1), announced(15));
    assert_eq!(aggregate.announced(2), announced(10), "no other computation moves by it");
}

#[test]
fn i7_an_advance_is_visible_only_once_it_is_journaled() {
    let mut aggregate = running();
    aggregate.report(report(1, halves().0, 1, 15), at(1)).unwrap();
    let proposal = aggregate.proposal(100).unwrap();
    assert_eq!(proposal.advances(), [(1, announced(15))]);
    assert_eq!(aggregate.announced(1), announced(10));
    drop(proposal);
    let again = aggregate.proposal(100).unwrap();
    assert_eq!(again.advances(), [(1, announced(15))], "what was not journaled is proposed again");
    aggregate.journaled(again);
    assert_eq!(aggregate.announced(1), announced(15));
    assert_eq!(aggregate.proposal(100), None);
}

#[test]
fn i7_a_lower_report_takes_nothing_back_and_holds_what_comes() {
    let mut aggregate = running();
    let (low, high) = halves();
    assert_eq!(aggregate.report(report(1, low, 1, 5), at(1)), Ok(Accepted::Holds));
    assert_eq!(aggregate.report(report(1, high, 2, 90), at(1)), Ok(Accepted::Holds));
    assert_eq!(aggregate.announced(1), announced(10));
    assert_eq!(aggregate.report(report(1, low, 1, 30), at(1)), Ok(Accepted::Advances));
}

#[test]
fn i7_a_missing_interval_holds() {
    let mut aggregate = Aggregate::new(graph(&[(1, &[])]), [(1, announced(3))]);
    let (low, high) = halves();
    aggregate.reassign(1, vec![assignment(low, 1)]).unwrap();
    assert_eq!(aggregate.report(report(1, low, 1, 10), at(0)), Ok(Accepted::Holds), "half a cover is none");
    aggregate.reassign(1, vec![assignment(high, 2)]).unwrap();
    assert_eq!(aggregate.proposal(9), None, "an interval that never reported is at minus infinity");
    assert_eq!(aggregate.report(report(1, high, 2, 20), at(0)), Ok(Accepted::Advances));
}

#[test]
fn i7_a_new_owner_holds_until_it_reports_and_lowers_nothing() {
    let mut aggregate = running();
    let (low, high) = halves();
    aggregate.reassign(1, vec![assignment(low, 3)]).unwrap();
    assert_eq!(aggregate.report(report(1, high, 2, 90), at(1)), Ok(Accepted::Holds));
    assert_eq!(
        aggregate.report(report(1, low, 3, 4), at(1)),
        Ok(Accepted::Holds),
        "it begins from its fence"
    );
    assert_eq!(aggregate.announced(1), announced(10));
    assert_eq!(aggregate.report(report(1, low, 3, 11), at(1)), Ok(Accepted::Advances));
}

#[test]
fn i7_what_the_old_owner_reported_before_the_move_still_counts() {
    let mut aggregate = running();
    let (low, _) = halves();
    aggregate.report(report(1, low, 1, 15), at(1)).unwrap();
    let proposal = aggregate.proposal(9).unwrap();
    aggregate.reassign(1, vec![assignment(low, 3)]).unwrap();
    aggregate.journaled(proposal);
    assert_eq!(aggregate.announced(1), announced(15), "it was the owner when it promised");
    assert_eq!(aggregate.proposal(9), None);
}

#[test]
fn i7_a_stale_reign_says_nothing_more() {
    let mut aggregate = running();
    let (low, _) = halves();
    aggregate.reassign(1, vec![assignment(low, 5)]).unwrap();
    let (reported, assigned) = (Sequencer::new(1).unwrap(), Sequencer::new(5).unwrap());
    let stale = ReportRefused::Stale { interval: low, reported, assigned };
    assert_eq!(aggregate.report(report(1, low, 1, 99), at(1)), Err(stale));
    let refused = aggregate.report(report(1, low, 6, 99), at(1)).unwrap_err();
    assert_eq!(refused.reason(), "ahead", "{refused}");
    aggregate.report(report(1, low, 5, 12), at(1)).unwrap();
    announce(&mut aggregate);
    assert_eq!(aggregate.announced(1), announced(12));
}

#[test]
fn i7_a_report_for_other_bounds_is_refused() {
    let mut aggregate = running();
    let quarter = halves().0.halves().unwrap();
    for interval in [KeyInterval::FULL, quarter.0, quarter.1] {
        let refused = aggregate.report(report(1, interval, 1, 99), at(1));
        assert_eq!(refused, Err(ReportRefused::NotAssigned { computation: 1, interval }));
    }
    let refused = aggregate.report(report(7, KeyInterval::FULL, 1, 99), at(1));
    assert_eq!(refused, Err(ReportRefused::NoSuchComputation { computation: 7 }));
}

#[test]
fn i7_a_split_holds_until_every_part_has_reported() {
    let mut aggregate = running();
    let (low, high) = halves();
    let (a, b) = low.halves().unwrap();
    aggregate.reassign(1, vec![assignment(a, 3), assignment(b, 4)]).unwrap();
    assert_eq!(aggregate.report(report(1, low, 1, 50), at(1)).unwrap_err().reason(), "not_assigned");
    assert_eq!(aggregate.report(report(1, high, 2, 50), at(1)), Ok(Accepted::Holds));
    assert_eq!(aggregate.report(report(1, a, 3, 40), at(1)), Ok(Accepted::Holds));
    assert_eq!(aggregate.report(report(1, b, 4, 30), at(1)), Ok(Accepted::Advances));
    announce(&mut aggregate);
    assert_eq!(aggregate.announced(1), announced(30));
}

#[test]
fn i7_a_merge_holds_until_the_whole_has_reported() {
    let mut aggregate = running();
    aggregate.reassign(1, vec![assignment(KeyInterval::FULL, 3)]).unwrap();
    for half in [halves().0, halves().1] {
        assert_eq!(aggregate.report(report(1, half, 2, 50), at(1)).unwrap_err().reason(), "not_assigned");
    }
    assert_eq!(aggregate.proposal(9), None);
    assert_eq!(aggregate.report(report(1, KeyInterval::FULL, 3, 40), at(1)), Ok(Accepted::Advances));
}

#[test]
fn i7_nothing_goes_back_through_a_restart() {
    let before = running();
    let mut after = Aggregate::new(graph(&[(1, &[]), (2, &[1])]), before.all_announced());
    let assignments = |computation| before.intervals(computation).map(|view| view.assignment).collect();
    for computation in [1, 2] {
        after.reassign(computation, assignments(computation)).unwrap();
    }
    assert_eq!(after.announced(1), announced(10));
    assert_eq!(after.report(report(1, halves().0, 1, 8), at(1)), Ok(Accepted::Holds));
    assert_eq!(after.report(report(1, halves().1, 2, 99), at(1)), Ok(Accepted::Holds));
    assert_eq!(after.announced(1), announced(10));
    assert_eq!(
        after.report(report(1, halves().0, 1, 12), at(1)),
        Ok(Accepted::Advances),
        "the same reigns go on"
    );
}

#[test]
fn i1_an_assignment_never_gives_way_to_an_older_one() {
    let mut aggregate = running();
    let refused = aggregate.reassign(1, vec![assignment(KeyInterval::FULL, 2)]).unwrap_err();
    assert!(matches!(refused, ReassignRefused::NotNewer { .. }), "{refused}");
    assert_eq!(
        aggregate.report(report(1, halves().0, 1, 15), at(1)),
        Ok(Accepted::Advances),
        "nothing changed"
    );
}

#[test]
fn the_two_values_advance_each_for_itself() {
    let mut aggregate = running();
    let (low, high) = halves();
    let ahead =
        IntervalReport { oldest_unacknowledged: SystemTime::from_millis(70_000), ..report(1, low, 1, 10) };
    assert_eq!(aggregate.report(ahead, at(1)), Ok(Accepted::Advances));
    announce(&mut aggregate);
    let expected = Announced { oldest_unacknowledged: SystemTime::from_millis(20_000), ..announced(10) };
    assert_eq!(
        aggregate.announced(1),
        expected,
        "the horizon waits for the other half, the watermark for this one"
    );
    assert_eq!(aggregate.report(report(1, high, 2, 20), at(1)), Ok(Accepted::Holds), "nothing new");
}

#[test]
fn a_proposal_has_a_bound_and_the_rest_comes_next() {
    let mut aggregate = running();
    for computation in [1, 2] {
        aggregate.report(report(computation, halves().0, 1, 15), at(1)).unwrap();
    }
    let proposal = aggregate.proposal(1).unwrap();
    assert_eq!(proposal.advances(), [(1, announced(15))]);
    aggregate.journaled(proposal);
    assert_eq!(aggregate.proposal(1).unwrap().advances(), [(2, announced(15))]);
}

#[test]
fn the_holder_is_found_through_every_stage() {
    let mut aggregate = running();
    let (low, _) = halves();
    let key = Key::from("JFK");
    let holder = Some(Holder { what: HolderKind::Timer, key: Some(key.clone()) });
    aggregate.report(IntervalReport { holder: holder.clone(), ..report(1, low, 1, 10) }, at(7)).unwrap();
    let explanation = aggregate.explain(2).unwrap();
    assert_eq!((explanation.low_watermark, explanation.path), (EventTime::from_secs(10), vec![2, 1]));
    assert_eq!(explanation.since, Some(at(0)), "the watermark has stood since then, whatever holds it");
    let text = explanation.cause.to_string();
    assert!(text.contains("timer of key JFK in ") && text.contains("worker w#1"), "{text}");
    assert_eq!(aggregate.explain(9), None);
}

#[test]
fn every_cause_has_its_name() {
    let mut aggregate = Aggregate::new(graph(&[(1, &[]), (2, &[1])]), []);
    let cause = |aggregate: &Aggregate| aggregate.explain(2).unwrap().cause;
    let (low, high) = halves();
    assert_eq!(cause(&aggregate), Cause::Unassigned { positions: KeyInterval::FULL });
    aggregate.reassign(2, vec![assignment(low, 1)]).unwrap();
    assert_eq!(cause(&aggregate), Cause::Unassigned { positions: high });
    aggregate.reassign(2, vec![assignment(high, 2)]).unwrap();
    assert!(matches!(cause(&aggregate), Cause::Silent { at } if at.interval == low));
    aggregate.reassign(1, vec![assignment(KeyInterval::FULL, 3)]).unwrap();
    aggregate.report(report(1, KeyInterval::FULL, 3, 10), at(0)).unwrap();
    assert!(matches!(aggregate.explain(1).unwrap().cause, Cause::NotJournaled { .. }));
    announce(&mut aggregate);
    for (interval, sequencer, secs) in [(low, 1, 5), (high, 2, 10)] {
        aggregate.report(report(2, interval, sequencer, secs), at(0)).unwrap();
    }
    announce(&mut aggregate);
    assert!(matches!(cause(&aggregate), Cause::Behind { at, .. } if at.interval == low));
    let done = IntervalReport { low_watermark: EventTime::MAX, ..report(1, KeyInterval::FULL, 3, 10) };
    aggregate.report(done, at(0)).unwrap();
    announce(&mut aggregate);
    assert_eq!(aggregate.explain(1).unwrap().cause, Cause::Done);
}
