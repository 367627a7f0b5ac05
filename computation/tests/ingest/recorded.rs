//! What came from outside is recorded as it is appended: the pipeline can be verified by it, and it can come again.

use crate::pipeline::{Book, pipeline};
use crate::services::Services;
use crate::{of_client, wait};
use clap::Parser;
use pelton::cli::{ReplayArgs, ReplayError, replay_from};
use pelton::client::IngestClient;
use pelton::local::Progress;
use pelton::verify::{Difference, Verdict, VerifyError, VerifyOptions, verify};
use pelton::{Clock, Key, KeyInterval, ProcessingTime, WallClock};
use pelton_domain::Name;
use pelton_statestore::{Commit, PipelineKeys, Scan, Write};
use std::time::Duration;

const CLIENTS: [&str; 3] = ["ann", "bob", "cyd"];

fn options(from: Option<ProcessingTime>) -> VerifyOptions {
    VerifyOptions { progress: Progress::Off, from, ..VerifyOptions::default() }
}

fn verified(services: &Services, options: VerifyOptions) -> (Result<Verdict, VerifyError>, Vec<Difference>) {
    let mut found = Vec::new();
    let mut report = |difference| found.push(difference);
    let (live, shadow) = (services.store.clone(), services.store.clone());
    let verdict = services.block_on(verify(pipeline(&Book::default()), live, shadow, options, &mut report));
    (verdict, found)
}

/// Appends records with these ids, each client's under its own key.
fn append(services: &Services, ids: std::ops::Range<u64>) {
    services.block_on(async {
        for client in CLIENTS {
            let mut to = IngestClient::connect(services.addresses(), "orders", client).unwrap();
            to.append(ids.clone().map(|id| of_client(client, id)).collect()).await.unwrap();
        }
    });
}

fn finish(services: &Services) {
    services.block_on(async {
        let mut any = IngestClient::connect(services.addresses(), "orders", "ann").unwrap();
        any.finish().await.unwrap();
    });
    services.until_done();
}

/// Removes entries of state of `computation` that `doomed` says; how many.
fn remove(services: &Services, computation: &str, cell: &str, doomed: impl Fn(usize) -> bool) -> usize {
    services.block_on(async {
        let keys = PipelineKeys::new(&Name::new("shop").unwrap());
        let catalogue = services.store.read(vec![keys.catalogue()]).await.unwrap().remove(0).unwrap();
        let catalogue: pelton_proto::store::Catalogue =
            pelton_proto::convert::decode("catalogue", &catalogue).unwrap();
        let number = catalogue.computations.iter().find(|known| known.name == computation).unwrap().number;
        let keys = keys.computation(number);
        let range = keys.state_of_interval(KeyInterval::FULL);
        let page = services.store.scan(Scan { range, entries_max: 1_000_000, bytes_max: usize::MAX }).await;
        let of_cell = page.unwrap().entries.into_iter().map(|(key, _)| key);
        let of_cell = of_cell.filter(|key| keys.read_state(key).unwrap().cell == cell.as_bytes());
        let gone = of_cell.enumerate().filter(|(at, _)| doomed(*at)).map(|(_, key)| key);
        let writes: Vec<Write> = gone.map(|key| Write::Delete { key }).collect();
        let count = writes.len();
        services.store.commit(Commit { preconditions: vec![], writes }).await.unwrap();
        count
    })
}

#[test]
fn i12_a_finished_stream_is_verified_by_its_recording_after_a_worker_was_killed() {
    let mut services = Services::start(3);
    append(&services, 0..700);
    services.kill(0);
    // What was not answered is sent again, and is recorded once.
    append(&services, 350..1_000);
    finish(&services);
    let (verdict, found) = verified(&services, options(None));
    let verdict = verdict.unwrap();
    assert_eq!(found, []);
    assert_eq!(verdict.places, 3_000, "{verdict}");

    assert_eq!(remove(&services, "collect", "came", |at| at == 2_999), 1);
    let (verdict, found) = verified(&services, options(None));
    assert_eq!((verdict.unwrap().differences, found.len()), (1, 1));
    assert!(CLIENTS.map(Key::from).contains(found[0].key.as_ref().unwrap()), "{found:?}");

    // A recording that lacks records cannot say what came of them.
    assert_eq!(remove(&services, "orders.ingest", "recording", |at| at % 300 == 0), 10);
    let (verdict, _) = verified(&services, options(None));
    let Err(VerifyError::Incomplete { recorded, appended, .. }) = verdict else { panic!("{verdict:?}") };
    assert_eq!((recorded, appended), (2_990, 3_000));
    // From a time on, it is what came of the records since that is compared.
    let now = WallClock.now();
    let (verdict, found) = verified(&services, options(Some(now)));
    assert_eq!((verdict.unwrap().differences, found.len()), (0, 0));
    let expired = options(Some(now.minus(Duration::from_secs(8 * 86_400))));
    let (verdict, _) = verified(&services, expired);
    assert!(matches!(verdict, Err(VerifyError::Expired { .. })), "{verdict:?}");
}

#[test]
fn i12_a_stream_that_goes_on_is_verified_where_it_was_stopped() {
    let mut services = Services::start(2);
    append(&services, 0..500);
    let (verdict, _) = verified(&services, options(None));
    let running = matches!(verdict, Err(VerifyError::Unsettled(_) | VerifyError::LiveWentOn));
    assert!(running, "its clock goes on: {verdict:?}");
    let mut workers = 2;
    let (verdict, found) = loop {
        (0..workers).filter(|at| at + 2 >= workers).for_each(|at| services.kill(at));
        match verified(&services, options(None)) {
            // It was stopped in the midst of something: it goes on for a while, and is stopped again.
            (Err(VerifyError::Unsettled(_)), _) => {
                (0..2).for_each(|_| services.start_worker());
                workers += 2;
                std::thread::sleep(Duration::from_secs(3));
            }
            done => break done,
        }
        assert!(workers < 60, "it never settles");
    };
    let verdict = verdict.unwrap();
    assert_eq!(found, []);
    // And the timer of each key, which waits for the end of the stream.
    assert_eq!(verdict.places, 1_503, "{verdict}");
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    replay: ReplayArgs,
}

fn replay(services: &Services, name: &str, from: ProcessingTime, more: &[&str]) -> Result<(), ReplayError> {
    let (workers, from) = (services.addresses().join(","), from.to_string());
    let words =
        ["replay", "orders", "--store", "memory:", "--workers", &workers, "--name", name, "--from", &from];
    let arguments = Line::parse_from(words.iter().chain(more)).replay;
    services.block_on(replay_from(&pipeline(&Book::default()), &services.store, &arguments))
}

#[test]
fn what_is_replayed_counts_once_more_for_each_name_of_a_replay() {
    let services = Services::start(2);
    let began = WallClock.now();
    append(&services, 0..200);
    wait("all records", || services.collecting() >= 600);
    let unconfirmed = replay(&services, "again", began, &[]);
    assert!(matches!(unconfirmed, Err(ReplayError::NotConfirmed)), "{unconfirmed:?}");
    let long_ago = began.minus(Duration::from_secs(30 * 86_400));
    let expired = replay(&services, "again", long_ago, &["--yes"]);
    assert!(matches!(expired, Err(ReplayError::Expired { .. })), "{expired:?}");
    // Twice under one name, as after a break: once more. Under another name: once more again, and what the replay before
    // has appended does not count as what came.
    let at = WallClock.now().to_string();
    for (name, all) in [("again", 1_200), ("again", 1_200), ("and-again", 1_800)] {
        replay(&services, name, began, &["--yes", "--to", &at]).unwrap();
        // Between two clients there is no order, and the verification below wants one.
        wait("what was replayed", || services.collecting() >= all);
    }
    finish(&services);
    let came = services.collected(3);
    for client in CLIENTS {
        let mut ids = came[client].clone();
        ids.sort_unstable();
        let expected: Vec<u64> = (0..200).flat_map(|id| [id; 3]).collect();
        assert_eq!(ids, expected, "{client}");
        assert_eq!(came[client][..200], (0..200).collect::<Vec<_>>(), "{client}");
    }
    // Replays are recorded too, so what they did can be verified.
    let (verdict, found) = verified(&services, options(None));
    assert_eq!((verdict.unwrap().differences, found), (0, vec![]));
}
