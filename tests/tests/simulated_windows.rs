//! The windowed workloads of the simulation have the right answer, have late records, and would show a bug (I7, I8, I10,
//! I12). That they have the same answer under every fault is in `simulation.rs`.

#![allow(clippy::unwrap_used, reason = "a test: a panic is its failure")]

use pelton::codec::Postcard;
use pelton::local::{LocalOptions, Outcome, Progress, run_on};
use pelton::testing::simulation::{Image, Simulation};
use pelton::{Codec, EventTime};
use pelton_domain::mutants::{Mutant, with_mutant};
use pelton_statestore::memory::Memory;
use pelton_tests::simulated::windows::{self, Reading, Readings, Span, Tally};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a ledger has of each key: `fixed/k0` and the windows, each with its tally.
type Ledger = BTreeMap<String, Vec<(Span, Tally)>>;

const HOUR_S: i64 = 3_600;

fn workload(name: &str) -> Simulation {
    windows::workloads().into_iter().find(|(known, _)| *known == name).unwrap().1
}

fn decoded<T: Serialize + DeserializeOwned>(bytes: &bytes::Bytes) -> T {
    Postcard::decode(bytes).unwrap()
}

/// What the cell of that name has; each entry as `decode` reads it.
fn kept<T>(
    image: &Image,
    cell: &str,
    decode: impl Fn(&bytes::Bytes, &bytes::Bytes) -> T,
) -> BTreeMap<String, Vec<T>> {
    let mut kept = BTreeMap::<String, Vec<T>>::new();
    for (at, entries) in image.0.iter().filter(|(at, _)| at.cell == cell.as_bytes()) {
        let key = String::from_utf8(at.key.to_vec()).unwrap();
        kept.entry(key).or_default().extend(entries.iter().map(|(sub_key, value)| decode(sub_key, value)));
    }
    kept
}

fn sorted(mut ledger: Ledger) -> Ledger {
    ledger.values_mut().for_each(|windows| windows.sort_unstable());
    ledger
}

/// The readings by key, put into the windows that `of` says, in seconds; no code of the engine's windows.
fn grouped(name: &str, readings: &[Reading], of: impl Fn(i64) -> Vec<(i64, i64)>) -> Ledger {
    let mut tallies = BTreeMap::<(String, Span), Tally>::new();
    for reading in readings {
        for (from, to) in of(second(reading.at())) {
            let span = (from * 1_000_000, to * 1_000_000 - 1);
            let tally = tallies.entry((format!("{name}/{}", reading.key()), span)).or_default();
            *tally = (tally.0 + 1, tally.1 + u128::from(reading.number));
        }
    }
    let mut ledger = Ledger::new();
    for ((key, span), tally) in tallies {
        ledger.entry(key).or_default().push((span, tally));
    }
    ledger
}

fn second(at: EventTime) -> i64 {
    at.as_micros() / 1_000_000
}

fn fixed(at: i64) -> Vec<(i64, i64)> {
    let from = at - (at - HOUR_S / 2).rem_euclid(3 * HOUR_S);
    vec![(from, from + 3 * HOUR_S)]
}

fn sliding(at: i64) -> Vec<(i64, i64)> {
    let last = at - at.rem_euclid(HOUR_S);
    (0..4).map(|back| last - back * HOUR_S).map(|from| (from, from + 4 * HOUR_S)).collect()
}

/// The days of Berlin, whose clocks go forward in the night to the second.
fn days(at: i64) -> Vec<(i64, i64)> {
    const FORWARD: i64 = 1_774_746_000;
    let ahead = |at: i64| if at < FORWARD { HOUR_S } else { 2 * HOUR_S };
    let day = (at + ahead(at)).div_euclid(24 * HOUR_S) * 24 * HOUR_S;
    let midnight = |day: i64| if day - HOUR_S < FORWARD { day - HOUR_S } else { day - 2 * HOUR_S };
    vec![(midnight(day), midnight(day + 24 * HOUR_S))]
}

fn sessions(name: &str, readings: &[Reading]) -> Ledger {
    const GAP_S: i64 = 90 * 60;
    let mut bursts: Vec<&Reading> = readings.iter().filter(|reading| windows::is_in_burst(reading)).collect();
    bursts.sort_by_key(|reading| reading.number);
    let mut ledger = Ledger::new();
    for reading in bursts {
        let (at, of_key) =
            (second(reading.at()), ledger.entry(format!("{name}/{}", reading.key())).or_default());
        let end = (at + GAP_S) * 1_000_000 - 1;
        match of_key.last_mut().filter(|((_, latest), _)| at * 1_000_000 <= *latest) {
            Some((span, tally)) => {
                *span = (span.0, end);
                *tally = (tally.0 + 1, tally.1 + u128::from(reading.number));
            }
            None => of_key.push(((at * 1_000_000, end), (1, reading.number.into()))),
        }
    }
    ledger
}

/// Each third reading of a key tells of three; the end tells what is left.
fn threes(readings: &[Reading]) -> Ledger {
    let mut by_key = BTreeMap::<String, Vec<u64>>::new();
    for reading in readings {
        by_key.entry(format!("threes/{}", reading.key())).or_default().push(reading.number);
    }
    let tally = |three: &[u64]| (three.len() as u64, three.iter().map(|number| u128::from(*number)).sum());
    let told =
        |numbers: Vec<u64>| numbers.chunks(3).map(|three| ((i64::MIN, i64::MAX - 1), tally(three))).collect();
    by_key.into_iter().map(|(key, numbers)| (key, told(numbers))).collect()
}

fn undisturbed(name: &str) -> Image {
    let image = workload(name).sequential().unwrap().image;
    assert!(image.0.keys().all(|at| !at.cell.is_empty()), "{name} gives something up: {image:?}");
    image
}

fn listed(name: &str) -> Ledger {
    kept(&undisturbed(name), "listed", |_, value| decoded(value))
}

#[test]
fn panes_that_are_told_once_are_those_of_a_plain_computation() {
    let readings = Readings { late: false }.all();
    let mut expected = grouped("fixed", &readings, fixed);
    expected.extend(grouped("sliding", &readings, sliding));
    expected.extend(grouped("days", &readings, days));
    expected.extend(threes(&readings));
    assert_eq!(listed("kinds"), expected);
    let expected = sessions("sessions", &readings);
    assert!(expected.values().all(|sessions| sessions.len() > 2), "{expected:?}");
    assert_eq!(listed("sessions"), expected);
}

#[test]
fn what_is_told_and_not_taken_back_is_that_of_a_plain_computation() {
    let readings = Readings { late: true }.all();
    let mut expected = grouped("fixed", &readings, fixed);
    expected.extend(grouped("last", &readings, fixed));
    expected.extend(grouped("clocked", &readings, sliding));
    expected.extend(sessions("sessions", &readings));
    let netted = kept(&undisturbed("triggers"), "netted", |window, value| {
        let (count, sum): (i64, i128) = decoded(value);
        (decoded::<Span>(window), (u64::try_from(count).unwrap(), u128::try_from(sum).unwrap()))
    });
    assert_eq!(sorted(netted), sorted(expected));
}

#[test]
fn patient_windows_have_every_late_record_and_strict_ones_tell_or_refuse_each() {
    let readings = Readings { late: true }.all();
    let image = undisturbed("late");
    let closed = kept(&image, "closed", |window, tally| (decoded(window), decoded(tally)));
    assert_eq!(sorted(closed), grouped("patient", &readings, fixed));
    let totals = kept(&image, "total", |_, tally| decoded::<Tally>(tally));
    let expected = grouped("strict", &readings, |_| vec![(0, 1)]);
    let expected =
        expected.into_iter().map(|(key, of)| (key, of.into_iter().map(|(_, tally)| tally).collect()));
    assert_eq!(totals, expected.collect::<BTreeMap<String, Vec<Tally>>>());
    assert!(kept(&image, "open", |_, _| ()).is_empty(), "every window has had its last pane");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_windows_do_refuse_some_and_patient_ones_none() {
    let options = LocalOptions { progress: Progress::Off, ..LocalOptions::new("") };
    let summary = run_on(windows::late().unwrap(), Arc::new(Memory::new()), options).await.unwrap();
    assert_eq!(summary.outcome, Outcome::Finished);
    let late = |name: &str| {
        let all = summary.after.computations.iter();
        all.filter(|c| c.name.as_str() == name).map(|c| c.totals.late_dropped).sum::<u64>()
    };
    assert!(late("strict") > 0, "the workload `late` proves nothing");
    assert_eq!((late("patient"), late("strict-ledger"), late("patient-ledger")), (0, 0, 0));
}

/// Whether a run under this bug ends otherwise than one without it. Seeds are tried one after the other.
fn shows(simulation: &Simulation, expected: &Image, mutant: Mutant) -> bool {
    const SEEDS: u64 = 20;
    (0..SEEDS).any(|seed| match with_mutant(mutant, || simulation.run(seed)) {
        Ok(outcome) => !expected.differences(&outcome.image).is_empty(),
        Err(_) => true,
    })
}

#[test]
fn each_of_them_shows_ids_that_are_lost_and_timers_that_do_not_hold() {
    for (name, simulation) in windows::workloads() {
        let expected = simulation.sequential().unwrap().image;
        for mutant in [Mutant::DedupWriteDropped, Mutant::TimersNotHeld] {
            assert!(shows(&simulation, &expected, mutant), "{name} does not show {mutant:?}");
        }
    }
}
