//! Records from outside, over gRPC, to workers that an injector leads: each is in the stream once, in the order of its
//! client, whoever dies. All in one process; a worker is killed by dropping its runtime.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails the test that called it"
)]

mod clocks;
#[path = "../support/injector.rs"]
mod injector;
mod limits;
mod local;
mod pipeline;
mod recorded;
mod secured;
mod services;

use pelton::client::{IngestClient, IngestError, NewRecord};
use pelton_proto::ingest::ingest_client::IngestClient as Calls;
use pelton_proto::ingest::{AppendRequest, IngestRecord};
use services::{Services, wait};
use std::collections::BTreeMap;
use tonic::Code;

fn record(id: u64) -> NewRecord {
    let id = id.to_string();
    NewRecord { id: id.clone().into(), key: "all".into(), value: id.into(), event_time: None }
}

fn expected(clients: &[&str], count: u64) -> BTreeMap<String, Vec<u64>> {
    clients.iter().map(|client| ((*client).to_owned(), (0..count).collect())).collect()
}

fn of_client(client: &str, id: u64) -> NewRecord {
    NewRecord { key: client.to_owned().into(), ..record(id) }
}

#[test]
fn i12_every_record_is_in_the_stream_once_and_in_order_through_retries() {
    let services = Services::start(2);
    let addresses = services.addresses();
    services.block_on(async {
        for client in ["ann", "bob", "cyd"] {
            // Each ends at another worker than it began, and sends half of it again.
            let mut first = IngestClient::connect(addresses.clone(), "orders", client).unwrap();
            first.append((0..1500).map(|id| of_client(client, id)).collect()).await.unwrap();
            let others: Vec<_> = addresses.iter().rev().cloned().collect();
            let mut second = IngestClient::connect(others, "orders", client).unwrap();
            second.append((700..2200).map(|id| of_client(client, id)).collect()).await.unwrap();
        }
        let mut any = IngestClient::connect(addresses, "orders", "ann").unwrap();
        any.finish().await.unwrap();
        any.finish().await.unwrap();
    });
    assert_eq!(services.collected(3), expected(&["ann", "bob", "cyd"], 2200));
    services.until_done();
    let late = services.block_on(async {
        let mut late = IngestClient::connect(services.addresses(), "orders", "ann").unwrap();
        late.append(vec![record(9999)]).await
    });
    assert!(matches!(&late, Err(IngestError::Refused(why)) if why.contains("finished")), "{late:?}");
}

#[test]
fn state_is_shown_as_the_types_of_its_cells_say() {
    let services = Services::start(1);
    services.block_on(async {
        let mut ann = IngestClient::connect(services.addresses(), "orders", "ann").unwrap();
        ann.append(vec![record(7), record(8)]).await.unwrap();
        ann.finish().await.unwrap();
    });
    services.until_done();
    let entry = |cell: &str, sub_key: &str, value: &str| (cell.into(), sub_key.into(), value.into());
    assert_eq!(services.state("collect", "all"), [entry("came", "", "7"), entry("came", "", "8")]);
    let mut ingested = services.state("orders.ingest", "ann");
    // What is recorded beside the ids is verified elsewhere.
    ingested.retain(|(cell, ..)| cell != "recording");
    assert_eq!(ingested, [entry("ids", "\"7\"", ""), entry("ids", "\"8\"", "")]);
    assert_eq!(services.state("orders.clock", "clock"), [entry("finished", "", "true")]);
}

#[test]
fn i10_after_the_end_what_is_new_is_refused_and_a_retry_is_answered_also_after_a_restart() {
    let mut services = Services::start(2);
    let ann = |addresses: Vec<String>| IngestClient::connect(addresses, "orders", "ann").unwrap();
    services.block_on(async {
        let mut ann = ann(services.addresses());
        ann.append((0..100).map(record).collect()).await.unwrap();
        ann.finish().await.unwrap();
    });
    services.until_done();
    for restarts in 0..2 {
        services.block_on(async {
            let mut ann = ann(services.addresses());
            ann.append((0..100).map(record).collect()).await.unwrap();
            for late in [vec![record(100)], vec![record(5), record(100)]] {
                let at = late.len() - 1;
                let refused = ann.append(late).await;
                let words = format!("is finished: record {at} of this request came after its end");
                assert!(
                    matches!(&refused, Err(IngestError::Refused(why)) if why.contains(&words)),
                    "{refused:?}"
                );
            }
            // Nothing of what was refused is known: it is refused again.
            assert!(ann.append(vec![record(100)]).await.is_err());
        });
        assert_eq!(services.dead_letters("orders.ingest"), 0, "each was told, so none is kept");
        if restarts == 0 {
            services.restart_all();
        }
    }
    assert_eq!(services.collected(1)["all"], (0..100).collect::<Vec<_>>());
}

#[test]
fn i10_whatever_races_with_the_end_is_in_the_stream_exactly_if_its_client_was_told_so() {
    const CLIENTS: [&str; 4] = ["ann", "bob", "cyd", "dan"];
    let services = Services::start(2);
    let appending: Vec<_> = CLIENTS
        .iter()
        .enumerate()
        .map(|(at, client)| {
            let mut mine = services.addresses();
            mine.rotate_left(at % 2);
            let (told, durable) = tokio::sync::oneshot::channel();
            services.spawn(async move {
                let mut to = IngestClient::connect(mine, "orders", *client).unwrap();
                let mut count = 0;
                let refused = loop {
                    match to.append(vec![of_client(client, count)]).await {
                        Ok(()) => count += 1,
                        Err(refused) => break refused,
                    }
                };
                assert!(
                    matches!(&refused, IngestError::Refused(why) if why.contains("finished")),
                    "{refused}"
                );
                told.send(count).unwrap();
            });
            durable
        })
        .collect();
    wait("some records to be collected", || services.collecting() > 100);
    services.block_on(async {
        let mut any = IngestClient::connect(services.addresses(), "orders", "eve").unwrap();
        any.finish().await.unwrap();
    });
    let durable: Vec<u64> = appending.into_iter().map(|told| services.block_on(told).unwrap()).collect();
    services.until_done();
    let collected = services.collected(CLIENTS.iter().zip(&durable).filter(|(_, count)| **count > 0).count());
    for (client, count) in CLIENTS.iter().zip(durable) {
        let came = collected.get(*client).cloned().unwrap_or_default();
        assert_eq!(came, (0..count).collect::<Vec<_>>(), "{client}");
    }
}

#[test]
fn i12_every_record_is_in_the_stream_once_when_a_worker_is_killed_while_they_come() {
    const CLIENTS: [&str; 4] = ["ann", "bob", "cyd", "dan"];
    let mut services = Services::start(3);
    let addresses = services.addresses();
    let appending: Vec<_> = CLIENTS
        .iter()
        .enumerate()
        .map(|(at, client)| {
            let mut mine = addresses.clone();
            mine.rotate_left(at % addresses.len());
            services.spawn(async move {
                let mut to = IngestClient::connect(mine, "orders", *client).unwrap();
                for chunk in 0..60u64 {
                    let records = (chunk * 50..(chunk + 1) * 50).map(|id| of_client(client, id));
                    to.append(records.collect()).await.unwrap();
                }
            })
        })
        .collect();
    wait("some records to be collected", || services.collecting() > 500);
    services.kill(0);
    for appended in appending {
        services.block_on(appended).unwrap();
    }
    services.block_on(async {
        let mut any = IngestClient::connect(services.addresses(), "orders", "ann").unwrap();
        any.finish().await.unwrap();
    });
    assert_eq!(services.collected(4), expected(&CLIENTS, 3000));
    services.until_done();
}

#[test]
fn i10_a_wrong_request_is_refused_in_words_and_nothing_of_it_is_taken() {
    let services = Services::start(1);
    let address = services.addresses().remove(0);
    services.block_on(async {
        let security = pelton_transport::Security::none();
        let calls = Calls::new(pelton_transport::connect(&address, &security).unwrap());
        let good = |id: u64| {
            let id = id.to_string();
            IngestRecord { id: id.clone().into(), key: "ann".into(), value: id.into(), event_time_us: None }
        };
        let request = |stream: &str, records: Vec<IngestRecord>| AppendRequest {
            stream: stream.into(),
            client: "ann".into(),
            records,
        };
        let no_id = IngestRecord { id: Vec::new().into(), ..good(1) };
        let cases = [
            (request("nothing", vec![good(1)]), Code::NotFound, "those that are: orders"),
            (request("", vec![good(1)]), Code::InvalidArgument, "has no stream"),
            (request("orders", vec![good(1), no_id]), Code::InvalidArgument, "record 1 has an id of 0 bytes"),
            (request("orders", vec![good(1); 1001]), Code::InvalidArgument, "1001 records"),
        ];
        for (wrong, code, words) in cases {
            // The request before it is taken, the one behind it is not.
            let all = vec![request("orders", vec![good(0)]), wrong.clone(), request("orders", vec![good(9)])];
            let all =
                if wrong.stream == "orders" { all } else { vec![wrong, request("orders", vec![good(9)])] };
            let before = all.len() - 2;
            let mut answers = calls.clone().append(tokio_stream::iter(all)).await.unwrap().into_inner();
            for _ in 0..before {
                assert_eq!(answers.message().await.unwrap().unwrap().records, 1);
            }
            let status = answers.message().await.unwrap_err();
            assert!(status.code() == code && status.message().contains(words), "{status}");
        }
        let mut client = IngestClient::connect([address], "orders", "ann").unwrap();
        client.finish().await.unwrap();
    });
    assert_eq!(services.collected(1), expected(&["ann"], 1));
}

#[test]
fn i11_a_client_that_does_not_read_its_answers_is_held_and_the_others_are_not() {
    let services = Services::start(1);
    let address = services.addresses().remove(0);
    services.block_on(async {
        // So few answers fit into the client's window that this test need not send many.
        let to = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
        let mut calls = Calls::new(to.initial_stream_window_size(1024).connect().await.unwrap());
        let (requests, waiting) = tokio::sync::mpsc::channel(1);
        let mut answers =
            calls.append(tokio_stream::wrappers::ReceiverStream::new(waiting)).await.unwrap().into_inner();
        let (count, mut sent) = (5_000u64, 0u64);
        let request = |at: u64| {
            let value = vec![b'0'; 1_000].into();
            let record =
                IngestRecord { id: at.to_string().into(), key: "ann".into(), value, event_time_us: None };
            AppendRequest { stream: "orders".into(), client: "ann".into(), records: vec![record] }
        };
        // It can send no more once nobody reads at the worker: what it gets rid of stops growing.
        while sent < count {
            let next = requests.send(request(sent));
            if tokio::time::timeout(std::time::Duration::from_secs(5), next).await.is_err() {
                break;
            }
            sent += 1;
        }
        assert!(sent < count, "{sent} requests of 1 KB are somewhere");
        let mut other = IngestClient::connect([address.clone()], "orders", "bob").unwrap();
        other.append((0..10).map(|id| of_client("bob", id)).collect()).await.unwrap();
        drop(requests);
        let mut answered = 0;
        while let Some(answer) = answers.message().await.unwrap() {
            answered += u64::from(answer.records);
        }
        assert_eq!(answered, sent);
        other.finish().await.unwrap();
    });
    assert_eq!(services.collected(2)["bob"], (0..10).collect::<Vec<_>>());
}
