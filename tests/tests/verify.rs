//! The flights are run once more beside themselves after kills: nothing differs; and what is then changed in the state or
//! taken from a file is told by its key (I12).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test: a panic is its failure")]

use bytes::Bytes;
use pelton_domain::{KeyInterval, Name};
use pelton_proto::{convert, store};
use pelton_statestore::embedded::{Embedded, EmbeddedOptions};
use pelton_statestore::{Commit, PipelineKeys, Scan, StateStore, Write};
use pelton_tests::flight_runs::{Kills, Run, example_binary, january, kill_repeatedly};
use serde_json::Value;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

/// The command `verify`, with its end and what it printed.
fn verify(run: &Run, more: &[&str]) -> Output {
    let store = format!("embedded:{}", run.output.join("store").display());
    let words = ["verify", "--store", &store].into_iter().chain(more.iter().copied());
    let run = Run { more: words.map(str::to_owned).collect(), ..run.clone() };
    run.to_its_end().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Changes the last byte of the first entry of state of `computation`; whose it is.
fn change_an_entry(directory: &Path, computation: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let embedded = Embedded::open(directory, EmbeddedOptions::default()).unwrap();
        let keys = PipelineKeys::new(&Name::new("flight-delays").unwrap());
        let catalogue = embedded.read(vec![keys.catalogue()]).await.unwrap()[0].clone().unwrap();
        let catalogue: store::Catalogue = convert::decode("catalogue", &catalogue).unwrap();
        let number = catalogue.computations.iter().find(|known| known.name == computation).unwrap().number;
        let keys = keys.computation(number);
        let page = embedded.scan(Scan::page_of(keys.state_of_interval(KeyInterval::FULL))).await.unwrap();
        let (key, value) = page.entries[0].clone();
        let mut changed = value.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        let of = keys.read_state(&key).unwrap().key.to_string();
        let writes = vec![Write::Put { key, value: Bytes::from(changed) }];
        embedded.commit(Commit { preconditions: vec![], writes }).await.unwrap();
        of
    })
}

#[test]
fn i12_flights_that_were_killed_again_and_again_do_not_differ_and_what_is_then_changed_is_told_by_key() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("flights");
    let binary = example_binary().unwrap();
    let run = Run { binary, input: january(), output, more: vec!["--rate".into(), "9000".into()] };
    let kills = Kills { count: 5, over: Duration::from_millis(1_800), seed: pelton_tests::seed() };
    kill_repeatedly(&run, kills, &["hourly.jsonl", "alerts.jsonl"], |kill| println!("{kill:?}")).unwrap();

    let same = verify(&run, &[]);
    assert_eq!(same.status.code(), Some(0), "{}", printed(&same));
    assert!(printed(&same).contains("without a difference"), "{}", printed(&same));

    let key = change_an_entry(&run.output.join("store"), "alerts");
    let file = run.output.join("hourly.jsonl");
    let lines = std::fs::read_to_string(&file).unwrap();
    let (first, rest) = lines.split_once('\n').unwrap();
    std::fs::write(&file, rest).unwrap();
    let lost: Value = serde_json::from_str(first).unwrap();
    // With the shadow elsewhere, and for programs.
    let differs = verify(&run, &["--json", "--shadow-store", "memory:"]);
    assert_eq!(differs.status.code(), Some(1), "{}", printed(&differs));
    let text = String::from_utf8(differs.stdout).unwrap();
    let told: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    let state = told.iter().find(|value| value["place"]["kind"] == "state").unwrap();
    assert_eq!((&state["computation"], &state["key"]), (&"alerts".into(), &key.as_str().into()));
    let line = told.iter().find(|value| value["place"]["kind"] == "line").unwrap();
    assert_eq!((&line["key"], &line["live"]), (&lost["origin"], &Value::Null));
    assert_eq!(line["shadow"], first);
    assert_eq!(told[2]["differences"], 2);

    let nothing = verify(&Run { output: directory.path().join("none"), ..run }, &[]);
    assert_eq!(nothing.status.code(), Some(2), "{}", printed(&nothing));
    assert!(printed(&nothing).contains("has no pipeline"), "{}", printed(&nothing));
}
