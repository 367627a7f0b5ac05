//! For tests of operators: records in disorder, watermarks in between, and crashes at any moment.

use crate::EventTime;
use crate::testing::Harness;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Randomness from `PELTON_SEED` where it is set, else from a new seed, which is printed.
pub(crate) fn random() -> StdRng {
    let given = std::env::var("PELTON_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0u8));
    println!("PELTON_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// An event time in seconds.
pub(crate) const fn at(seconds: i64) -> EventTime {
    EventTime::from_secs(seconds)
}

/// Each by its time, but up to `disorder_s` seconds late.
pub(crate) fn disordered<E>(
    random: &mut StdRng,
    events: impl IntoIterator<Item = E>,
    second: impl Fn(&E) -> i64,
    disorder_s: i64,
) -> Vec<E> {
    let arriving =
        events.into_iter().map(|event| (second(&event) + random.random_range(0..=disorder_s), event));
    let mut arriving: Vec<(i64, E)> = arriving.collect();
    arriving.sort_by_key(|(arrival, _)| *arrival);
    arriving.into_iter().map(|(_, event)| event).collect()
}

/// Pushes `events` in this order and to the end of the input. The watermark moves on as far as none becomes late by
/// it, and the process dies now and then, also in the middle of a commit. After each step `see` gets the harness, and
/// where the output watermark was before: nothing that came out may be earlier (I7).
pub(crate) fn run<E>(
    harness: &mut Harness,
    random: &mut StdRng,
    events: &[E],
    second: impl Fn(&E) -> i64,
    mut push: impl FnMut(&mut Harness, &E),
    mut see: impl FnMut(&mut Harness, EventTime),
) {
    let mut holding = false;
    for (done, event) in events.iter().enumerate() {
        let before = harness.output_watermark();
        if !holding && random.random_bool(0.2) {
            harness.hold_commits();
            holding = true;
        }
        push(harness, event);
        if random.random_bool(0.3)
            && let Some(next) = events[done + 1..].iter().map(&second).min()
        {
            harness.advance_watermark(at(next)).unwrap();
        }
        match random.random_range(0..if holding { 8 } else { 20 }) {
            0 => harness.crash().unwrap(),
            1 => harness.crash_after_commit().unwrap(),
            2 => harness.release_commits().unwrap(),
            _ => {
                see(harness, before);
                continue;
            }
        }
        holding = false;
        see(harness, before);
    }
    let before = harness.output_watermark();
    harness.release_commits().unwrap();
    harness.finish().unwrap();
    see(harness, before);
}
