//! A published stream, read by clients while workers and clients are killed: processes, all of them. Every line is there
//! once, in the order of its key.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test: a panic is its failure")]

use anyhow::{Context, Result, ensure};
use pelton::client::{Begin, IngestClient, NewRecord, SubscribeClient};
use pelton_tests::process::{Process, free_addresses};
use pelton_tests::services::{Layout, Programs, Services};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;

const CLIENTS: [&str; 4] = ["ann", "bob", "cyd", "dan"];
const LINES: u64 = 3_000;
/// Long after everything should be over.
const ENOUGH: Duration = Duration::from_secs(300);

/// What came, by key.
type Came = BTreeMap<String, Vec<String>>;

fn expected() -> Came {
    let lines = || (0..LINES).map(|number| number.to_string()).collect();
    CLIENTS.iter().map(|client| ((*client).to_owned(), lines())).collect()
}

/// A relay with three workers, and where they listen, also after a restart.
fn relay(directory: &Path) -> Result<(Services, Vec<String>)> {
    let addresses: Vec<String> = free_addresses(3)?.iter().map(ToString::to_string).collect();
    let own = |address: &String| vec!["--listen".to_owned(), address.clone()];
    let program = vec![env!("CARGO_BIN_EXE_relay").to_owned()];
    let layout =
        Layout::new(Programs::built()?, "relay", program, directory.to_owned(), 0).with_short_leases();
    let workers = addresses.iter().map(own).collect();
    let services = Services::start(Layout { injectors: 1, workers, ..layout })?;
    Ok((services, addresses))
}

/// Each client appends its lines, a few at a time.
async fn append(mut addresses: Vec<String>, client: &'static str, first: usize) -> Result<()> {
    addresses.rotate_left(first % 3);
    let mut to = IngestClient::connect(addresses, "lines", client)?;
    for chunk in 0..LINES / 20 {
        let record = |number: u64| {
            let id = number.to_string();
            NewRecord { id: id.clone().into(), key: client.into(), value: id.into(), event_time: None }
        };
        to.append((chunk * 20..(chunk + 1) * 20).map(record).collect()).await?;
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    Ok(())
}

async fn receive(addresses: Vec<String>) -> Result<Came> {
    let mut from = SubscribeClient::connect(addresses, "lines", Begin::Earliest)?;
    let mut came = Came::new();
    while let Some(received) = from.next().await? {
        for record in received.records {
            let text = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec());
            came.entry(text(record.key)?).or_default().push(text(record.value)?);
        }
    }
    Ok(came)
}

/// The lines of the file that `tail` writes.
fn in_file(path: &Path) -> Result<Came> {
    let mut came = Came::new();
    for line in std::fs::read_to_string(path)?.lines() {
        if let Some((key, value)) = line.split_once('\t') {
            came.entry(key.to_owned()).or_default().push(value.to_owned());
        }
    }
    Ok(came)
}

fn finish(runtime: &Runtime, addresses: &[String]) -> Result<()> {
    runtime.block_on(async {
        let mut any = IngestClient::connect(addresses.to_vec(), "lines", "any")?;
        Ok(any.finish().await?)
    })
}

#[test]
fn every_line_comes_once_to_every_reader_whatever_is_killed_of_workers_and_readers() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (mut services, addresses) = relay(directory.path())?;
    services.workers.iter_mut().try_for_each(|worker| worker.until_printed("listens at").map(drop))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let appending: Vec<_> = (0..)
        .zip(CLIENTS)
        .map(|(first, client)| runtime.spawn(append(addresses.clone(), client, first)))
        .collect();
    let tailing = runtime.spawn(receive(addresses.clone()));
    let file = directory.path().join("lines.txt");
    let command = [
        env!("CARGO_BIN_EXE_tail"),
        "--workers",
        &addresses.join(","),
        "--stream",
        "lines",
        "--output",
        &file.display().to_string(),
    ];
    let mut tail = Process::new("tail", command.map(str::to_owned).to_vec(), directory.path());
    tail.start()?;
    let mut random = StdRng::seed_from_u64(pelton_tests::seed());
    let mut kills = 0;
    while !appending.iter().all(tokio::task::JoinHandle::is_finished) {
        std::thread::sleep(Duration::from_millis(random.random_range(300..900)));
        tail.until_printed("begun")?;
        tail.kill()?;
        tail.start()?;
        let at = random.random_range(0..services.workers.len());
        let worker = &mut services.workers[at];
        if random.random_bool(0.3) {
            // It is a zombie when it goes on: others have its work.
            worker.pause()?;
            std::thread::sleep(Duration::from_millis(2_500));
            worker.resume()?;
        } else {
            worker.kill()?;
            worker.start()?;
            worker.until_printed("listens at")?;
        }
        kills += 1;
    }
    ensure!(kills > 2, "it was over after {kills} kills");
    for appended in appending {
        runtime.block_on(appended)??;
    }
    finish(&runtime, &addresses)?;
    let within = |work| async { tokio::time::timeout(ENOUGH, work).await };
    let came = runtime.block_on(within(tailing)).context("the end has not come")???;
    tail.until_ended(ENOUGH)?;
    ensure!(came == expected(), "the reader that stayed: {}", differences(&came));
    let came = in_file(&file)?;
    ensure!(came == expected(), "the reader that was killed: {}", differences(&came));
    services.until_done(ENOUGH)?;
    services.stop()
}

fn differences(came: &Came) -> String {
    let of_client = |client: &&str| {
        let lines = came.get(*client).map_or(&[][..], Vec::as_slice);
        let first = (0..).zip(lines).find(|(number, line)| u64::to_string(number) != **line);
        format!("{client}: {} lines, the first that is wrong: {first:?}", lines.len())
    };
    CLIENTS.iter().map(of_client).collect::<Vec<_>>().join("; ")
}
