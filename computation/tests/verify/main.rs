//! A pipeline is run once more beside itself: nothing differs after crashes, and whatever was changed is told by its key.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails the test that called it"
)]

mod pipeline;
mod refusals;

use bytes::Bytes;
use pelton::local::Progress;
use pelton::verify::{Difference, Place, Verdict, VerifyError, VerifyOptions, verify};
use pelton::{Engine, EngineOptions, Key, KeyInterval, Pipeline};
use pelton_domain::Name;
use pelton_statestore::memory::Memory;
use pelton_statestore::{Commit, ComputationKeys, KeyRange, PipelineKeys, Scan, StoreHandle, Write};
use pipeline::{Code, pipeline, run, sums, write_input};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A store in memory, and a directory with the input.
struct World {
    memory: Memory,
    store: StoreHandle,
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let (memory, directory) = (Memory::new(), tempfile::tempdir().unwrap());
        write_input(directory.path());
        Self { store: Arc::new(memory.clone()), memory, directory }
    }

    /// Run to its end.
    async fn done(code: Code) -> Self {
        let world = Self::new();
        run(&world.store, world.pipeline(code)).await;
        world
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn pipeline(&self, code: Code) -> Pipeline {
        pipeline(self.path(), code)
    }

    /// Verifies it, with the shadow in the same store.
    async fn verify(&self, code: Code) -> (Result<Verdict, VerifyError>, Vec<Difference>) {
        verify_with(self, code, options()).await
    }

    /// The keys of a computation in the live pipeline.
    async fn keys(&self, computation: &str) -> ComputationKeys {
        let keys = PipelineKeys::new(&Name::new("tallies").unwrap());
        let catalogue = self.store.read(vec![keys.catalogue()]).await.unwrap()[0].clone().unwrap();
        let catalogue: pelton_proto::store::Catalogue =
            pelton_proto::convert::decode("catalogue", &catalogue).unwrap();
        let known = catalogue.computations.iter().find(|known| known.name == computation);
        keys.computation(known.unwrap().number)
    }

    async fn entries(&self, range: KeyRange) -> Vec<(Bytes, Bytes)> {
        let scan = Scan { entries_max: 1_000_000, bytes_max: usize::MAX, range };
        self.store.scan(scan).await.unwrap().entries
    }

    async fn write(&self, write: Write) {
        self.store.commit(Commit { preconditions: vec![], writes: vec![write] }).await.unwrap();
    }
}

fn options() -> VerifyOptions {
    VerifyOptions { progress: Progress::Off, ..VerifyOptions::default() }
}

async fn verify_with(
    world: &World,
    code: Code,
    options: VerifyOptions,
) -> (Result<Verdict, VerifyError>, Vec<Difference>) {
    let mut found = Vec::new();
    let mut report = |difference| found.push(difference);
    let (live, shadow) = (world.store.clone(), world.store.clone());
    let verified = verify(world.pipeline(code), live, shadow, options, &mut report);
    let verdict = tokio::time::timeout(Duration::from_secs(180), verified).await.unwrap();
    (verdict, found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i12_nothing_differs_after_crashes_and_nothing_is_left_of_the_shadow() {
    let world = World::new();
    for crash in 0..6u64 {
        let code = Code { rate: Some(20_000.0), ..Code::default() };
        let engine =
            Engine::start(world.pipeline(code), world.store.clone(), EngineOptions::default()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10 + 7 * crash)).await;
        engine.abort();
    }
    run(&world.store, world.pipeline(Code::default())).await;
    let (before, lines) = (world.memory.dump(), std::fs::read(sums(world.path())).unwrap());
    let files = std::fs::read_dir(world.path()).unwrap().count();
    let (verdict, found) = world.verify(Code::default()).await;
    let verdict = verdict.unwrap();
    assert_eq!((found, verdict.differences), (vec![], 0));
    // Of each row an entry of a list, of every other one an entry of a bag, and what is kept of each key.
    assert!(verdict.places > pipeline::ROWS_COUNT * 3 / 2 + pipeline::KEYS * 10, "{verdict}");
    assert_eq!(verdict.not_compared, [("tally, cell seen".to_owned(), "it expires")]);
    assert!(world.memory.dump() == before, "the store is not as it was");
    assert_eq!(std::fs::read(sums(world.path())).unwrap(), lines);
    assert_eq!(std::fs::read_dir(world.path()).unwrap().count(), files);
}

/// An entry of `cell` of `key`, as often as there are any.
async fn cell(world: &World, key: &str, cell: &str) -> Vec<(Bytes, Bytes)> {
    let keys = world.keys("tally").await;
    world.entries(keys.state_of_cell(&Key::from(key), b"", cell.as_bytes())).await
}

fn last_bit_changed(value: &Bytes) -> Bytes {
    let mut value = value.to_vec();
    *value.last_mut().unwrap() ^= 1;
    value.into()
}

/// What was reported, without values: computation, key, and what.
fn told(found: &[Difference]) -> Vec<(String, String, String)> {
    let mut told: Vec<_> = found
        .iter()
        .map(|difference| {
            let key = difference.key.as_ref().map_or("-".to_owned(), Key::to_string);
            let what = match &difference.place {
                Place::Entry { cell, .. } => cell.clone(),
                Place::Line { .. } => "line".to_owned(),
                Place::DeadLetter => "dead letter".to_owned(),
                other => format!("{other:?}"),
            };
            (difference.computation.clone(), key, what)
        })
        .collect();
    told.sort();
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_changed_in_the_live_state_is_told_by_its_key() {
    let world = World::done(Code::default()).await;
    // A changed value, a lost entry of a map, an entry too many in another, one of a list changed, one of a bag lost,
    // and one that cannot be read at all.
    let (place, value) = cell(&world, "k1", "sum").await.remove(0);
    world.write(Write::Put { key: place, value: last_bit_changed(&value) }).await;
    let (place, _) = cell(&world, "k2", "by-digit").await.remove(4);
    world.write(Write::Delete { key: place }).await;
    let (place, value) = cell(&world, "k3", "by-digit").await.remove(0);
    let too_many = [&place[..place.len() - 1], &[77]].concat().into();
    world.write(Write::Put { key: too_many, value }).await;
    let (place, value) = cell(&world, "k4", "came").await.remove(5);
    world.write(Write::Put { key: place, value: last_bit_changed(&value) }).await;
    let (place, _) = cell(&world, "k5", "odd").await.remove(3);
    world.write(Write::Delete { key: place }).await;
    let (place, _) = cell(&world, "k6", "sum").await.remove(0);
    world.write(Write::Put { key: place, value: Bytes::new() }).await;
    let (verdict, found) = world.verify(Code::default()).await;
    let of = |key: &str, cell: &str| ("tally".to_owned(), key.to_owned(), cell.to_owned());
    let expected = [
        of("k1", "sum"),
        of("k2", "by-digit"),
        of("k3", "by-digit"),
        of("k4", "came"),
        of("k5", "odd"),
        of("k6", "sum"),
    ];
    assert_eq!(told(&found), expected);
    assert_eq!(verdict.unwrap().differences, 6);
    let sides = |key: &str| {
        let of_key = found.iter().find(|d| d.key.as_ref().is_some_and(|k| k.to_string() == key)).unwrap();
        (of_key.live.is_some(), of_key.shadow.is_some())
    };
    assert_eq!(
        ["k1", "k2", "k3", "k5"].map(sides),
        [(true, true), (false, true), (true, false), (false, true)]
    );
    let damaged = found.iter().find(|d| d.key == Some(Key::from("k6"))).unwrap();
    assert_eq!(damaged.live.as_deref(), Some(&b"the stored entry is damaged"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_are_gone_changed_or_twice_and_dead_letters_are_told() {
    let world = World::done(Code::default()).await;
    let path = sums(world.path());
    let text = std::fs::read_to_string(&path).unwrap();
    let line = |key: &str| text.lines().find(|line| line.contains(&format!("\"{key}\""))).unwrap().to_owned();
    let changed = text.replace(&(line("k1") + "\n"), "").replace(&line("k2"), "what is this");
    std::fs::write(&path, changed + &line("k4") + "\n").unwrap();
    let letters = world.keys("tally").await.dead_letters(KeyInterval::FULL);
    let letter = world.entries(letters).await.remove(0);
    let of = world.keys("tally").await.read_dead_letter(&letter.0).unwrap().0;
    world.write(Write::Delete { key: letter.0 }).await;
    let (verdict, found) = world.verify(Code::default()).await;
    let lines = |key: &str| ("sums.format".to_owned(), key.to_owned(), "line".to_owned());
    let letter = ("tally".to_owned(), of.to_string(), "dead letter".to_owned());
    assert_eq!(told(&found), [lines("-"), lines("-"), lines("k1"), lines("k2"), letter]);
    assert_eq!(verdict.unwrap().differences, 5);
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(shown.iter().any(|words| words.contains("live what is this  shadow -")), "{shown:#?}");
    let json: Vec<_> = found.iter().map(Difference::to_json).collect();
    assert!(json.iter().any(|value| value["key"] == "k1" && value["place"]["kind"] == "line"), "{json:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hangs_on_the_clock_is_told() {
    let code = Code { whimsical: true, ..Code::default() };
    let world = World::done(code).await;
    let (verdict, found) = world.verify(code).await;
    assert_eq!(told(&found), [("tally".to_owned(), "k3".to_owned(), "whim".to_owned())]);
    assert!(!verdict.unwrap().is_same());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verification_that_is_cut_off_is_begun_anew_and_one_that_is_overtaken_says_so() {
    let world = World::done(Code::default()).await;
    let before = world.memory.dump();
    let slow = Code { rate: Some(1_000.0), ..Code::default() };
    let begin = || {
        let (pipeline, store) = (world.pipeline(slow), world.store.clone());
        tokio::spawn(async move {
            verify(pipeline, store.clone(), store, options(), &mut |_| panic!("a difference")).await
        })
    };
    let shadow = PipelineKeys::new(&Name::new("tallies.shadow").unwrap());
    // Waits until another verification than that of `mark` has begun, and runs. Returns its own mark.
    let until_it_runs = async |mark: Option<Bytes>| loop {
        let found = world.store.read(vec![shadow.shadow()]).await.unwrap().remove(0);
        if found != mark && world.entries(shadow.range()).await.len() > 100 {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let cut_off = begin();
    let mark = until_it_runs(None).await;
    cut_off.abort();
    assert!(cut_off.await.unwrap_err().is_cancelled());
    assert!(world.memory.dump().len() > before.len(), "nothing was left");
    let overtaken = begin();
    until_it_runs(mark).await;
    let (verdict, found) = world.verify(Code::default()).await;
    assert_eq!((verdict.unwrap().differences, found), (0, vec![]));
    let overtaken = tokio::time::timeout(Duration::from_secs(60), overtaken).await.unwrap().unwrap();
    assert!(matches!(overtaken, Err(VerifyError::Replaced)), "{overtaken:?}");
    assert!(world.memory.dump() == before, "the store is not as it was");
}
