//! Single decisions of the membership, each by its sentence.

use super::*;
use crate::assign::Assignment;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn hello(session: u64, worker: &str, process: u8, version: u32) -> Hello {
    Hello {
        session: SessionId(session),
        worker: worker.into(),
        process: [process; 16],
        address: format!("{worker}:1"),
        graph_version: version,
        computations: [1].into(),
        running: Vec::new(),
    }
}

fn membership(intervals: u32) -> Membership {
    let mut membership = Membership::new(Limits::default(), Duration::ZERO);
    membership.set_graph(1, [1], Duration::ZERO);
    let nobody = KeyInterval::partition(intervals).into_iter().map(|interval| (interval, None));
    membership.restore(1, nobody, Duration::ZERO);
    membership
}

/// Everything that is done when `now` comes, and assignments journaled and run at once. Returns the other actions.
fn settle(membership: &mut Membership, now: Duration) -> Vec<Action> {
    let mut others = Vec::new();
    loop {
        membership.tick(now);
        let actions = membership.actions();
        if actions.is_empty() {
            return others;
        }
        for action in actions {
            let Action::Assign { computation, intervals } = action else {
                others.push(action);
                continue;
            };
            for (interval, worker) in intervals {
                let sequencer = Sequencer::new(1_000 + now.as_millis() as u64).unwrap();
                let assignment = Assignment { interval, sequencer, worker };
                if let Some(session) = membership.assigned(computation, &assignment) {
                    membership.running(session, vec![IntervalReign { computation, interval, sequencer }]);
                }
            }
        }
    }
}

fn owners(membership: &Membership) -> Vec<Option<String>> {
    let owner = |(_, owner): (KeyInterval, Option<(Sequencer, &Worker, bool)>)| {
        owner.map(|(_, worker, _)| worker.as_str().to_owned())
    };
    membership.reigns(1).map(owner).collect()
}

#[test]
fn a_worker_of_an_older_graph_keeps_what_it_has_and_gets_nothing_new() {
    let mut membership = membership(4);
    membership.join(hello(1, "old", 1, 1), ms(0)).unwrap();
    settle(&mut membership, ms(100));
    assert_eq!(owners(&membership), vec![Some("old".to_owned()); 4]);
    membership.set_graph(2, [1], ms(200));
    settle(&mut membership, ms(300));
    assert_eq!(owners(&membership), vec![Some("old".to_owned()); 4], "nobody newer is there");
    membership.join(hello(2, "older-too", 2, 1), ms(400)).unwrap();
    settle(&mut membership, ms(500));
    assert_eq!(owners(&membership), vec![Some("old".to_owned()); 4], "the second is as old");
    membership.join(hello(3, "new", 3, 2), ms(600)).unwrap();
    let releases = settle(&mut membership, ms(700));
    assert!(
        matches!(&releases[..], [Action::Release { session: SessionId(1), reigns }] if reigns.len() == 2)
    );
}

#[test]
fn a_broken_stream_is_waited_for_and_a_new_process_of_the_name_is_not() {
    let mut membership = membership(2);
    membership.join(hello(1, "a", 1, 1), ms(0)).unwrap();
    settle(&mut membership, ms(100));
    membership.broken(SessionId(1), ms(1_000));
    assert_eq!(settle(&mut membership, ms(1_299)), []);
    assert_eq!(owners(&membership), vec![Some("a".to_owned()); 2], "it may come back");
    membership.join(hello(2, "a", 2, 1), ms(1_299)).unwrap();
    settle(&mut membership, ms(1_400));
    let sequencers: Vec<u64> = membership.reigns(1).map(|(_, owner)| owner.unwrap().0.get()).collect();
    assert!(sequencers.iter().all(|sequencer| *sequencer > 1_100), "new reigns for the new process");
}

#[test]
fn a_name_is_one_living_process_s() {
    let mut membership = membership(1);
    membership.join(hello(1, "a", 1, 1), ms(0)).unwrap();
    let error = membership.join(hello(2, "a", 2, 1), ms(10)).unwrap_err().to_string();
    assert!(error.contains("a:1") && error.contains("name of its own"), "{error}");
}

#[test]
fn a_pause_of_the_injector_is_nobody_s_silence() {
    let mut membership = membership(2);
    membership.join(hello(1, "a", 1, 1), ms(0)).unwrap();
    settle(&mut membership, ms(100));
    assert_eq!(settle(&mut membership, ms(60_000)), [], "it was paused itself");
    let mut now = 60_000;
    while membership.worker_of(SessionId(1)).is_some() {
        now += 300;
        settle(&mut membership, ms(now));
    }
    assert!((62_900..=63_300).contains(&now), "then the lease counts: {now}");
}

#[test]
fn what_failed_rests_ever_longer_and_its_fences_are_read_first() {
    let mut membership = membership(1);
    membership.join(hello(1, "a", 1, 1), ms(0)).unwrap();
    let (mut now, mut waits) = (ms(0), Vec::new());
    for round in 1..14 {
        let began = now;
        loop {
            membership.heard(SessionId(1), now);
            membership.tick(now);
            let mut assigned = false;
            for action in membership.actions() {
                match action {
                    Action::ReadFences { .. } => membership.fences(1, &[KeyInterval::FULL], now),
                    Action::Assign { .. } => assigned = true,
                    other => panic!("{other:?}"),
                }
            }
            if assigned {
                break;
            }
            now += ms(5);
        }
        waits.push((now - began).as_millis());
        let sequencer = Sequencer::new(round).unwrap();
        let assignment = Assignment { interval: KeyInterval::FULL, sequencer, worker: "a".into() };
        let session = membership.assigned(1, &assignment).unwrap();
        let reign = IntervalReign { computation: 1, interval: KeyInterval::FULL, sequencer };
        membership.released(session, &[reign], true, now);
    }
    assert!(waits[1..].windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
    assert!((5_000..5_020).contains(waits.last().unwrap()), "{waits:?}");
}

#[test]
fn what_the_journal_cut_otherwise_than_the_fences_is_assigned_in_one_step() {
    let mut membership = membership(4);
    membership.join(hello(1, "a", 1, 1), ms(0)).unwrap();
    let whole = KeyInterval::FULL.halves().unwrap().0;
    membership.tick(ms(100));
    let actions = membership.actions();
    let [Action::Assign { intervals, .. }] = &actions[..] else { panic!("{actions:?}") };
    membership.not_assigned(1, intervals, Some(whole), ms(100));
    let mut now = ms(100);
    let batch = loop {
        now += ms(5);
        membership.tick(now);
        let mut found = None;
        for action in membership.actions() {
            match action {
                Action::ReadFences { .. } => membership.fences(1, &KeyInterval::partition(4), now),
                Action::Assign { intervals, .. } => found = Some(intervals),
                other => panic!("{other:?}"),
            }
        }
        if let Some(found) = found {
            break found;
        }
    };
    let bounds: Vec<KeyInterval> = batch.iter().map(|(interval, _)| *interval).collect();
    assert_eq!(bounds, KeyInterval::partition(4)[..2], "both halves of it, and nothing else");
}

#[test]
fn i6_a_worker_whose_clock_is_refused_keeps_nothing_and_gets_nothing_until_it_is_right() {
    let mut membership = membership(4);
    membership.join(hello(1, "a", 1, 1), ms(0)).unwrap();
    settle(&mut membership, ms(100));
    assert!(membership.refuse_clock(&"a".into(), true, ms(200)));
    assert!(!membership.refuse_clock(&"a".into(), true, ms(200)), "that is no news");
    let releases = settle(&mut membership, ms(300));
    let Some(Action::Release { session, reigns }) = releases.first().cloned() else {
        panic!("nobody else is there, and still it is to stop: {releases:?}")
    };
    assert_eq!(reigns.len(), 4);
    membership.released(session, &reigns, false, ms(310));
    settle(&mut membership, ms(400));
    assert_eq!(owners(&membership), vec![None; 4]);
    membership.heard(SessionId(1), ms(1_000));
    assert!(membership.refuse_clock(&"a".into(), false, ms(1_000)));
    settle(&mut membership, ms(1_100));
    assert_eq!(owners(&membership), vec![Some("a".to_owned()); 4]);
}
