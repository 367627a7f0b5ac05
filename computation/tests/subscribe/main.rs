//! Streams to the outside, over gRPC, from workers that an injector leads: each record comes once, in the order of its key,
//! whoever dies. All in one process; a worker is killed by dropping its runtime.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails the test that called it"
)]

#[path = "../support/injector.rs"]
mod injector;
mod services;

use pelton::client::{Begin, SubscribeError};
use pelton::{EventTime, Pipeline};
use pelton_proto::subscribe::subscribe_client::SubscribeClient as Calls;
use pelton_proto::subscribe::subscribe_request::From as Place;
use pelton_proto::subscribe::{Earliest, SubscribeRequest};
use services::{Seen, Services, append, finish, pipeline, subscribe};
use std::collections::BTreeMap;
use tonic::Code;

const CLIENTS: [&str; 5] = ["ann", "bob", "cyd", "dan", "eve"];

fn expected(count: u64) -> BTreeMap<String, Vec<u64>> {
    CLIENTS.iter().map(|client| ((*client).to_owned(), (0..count).collect())).collect()
}

/// Several clients append their numbers at once.
fn appending(services: &Services, count: u64) -> Vec<tokio::task::JoinHandle<()>> {
    let append_all = |(at, client): (usize, &&'static str)| {
        let (mut addresses, client) = (services.addresses(), *client);
        let first = at % addresses.len();
        addresses.rotate_left(first);
        services.spawn(async move {
            for chunk in 0..count / 50 {
                append(addresses.clone(), client, chunk * 50..(chunk + 1) * 50).await;
            }
        })
    };
    CLIENTS.iter().enumerate().map(append_all).collect()
}

#[test]
fn i12_each_record_comes_once_and_in_order_to_who_goes_on_elsewhere_again_and_again() {
    let services = Services::start(pipeline, &[&[], &[]]);
    let mut addresses = services.addresses();
    for appended in appending(&services, 1_000) {
        services.block_on(appended).unwrap();
    }
    services.block_on(finish(addresses.clone()));
    services.block_on(async {
        let (mut seen, mut begin, mut subscriptions) = (Seen::default(), Begin::Earliest, 0);
        // Each answer, the first one of each call apart, is taken over a connection of its own.
        loop {
            addresses.rotate_left(1);
            let mut from = subscribe(addresses.clone(), "orders", begin.clone());
            let first = from.next().await.unwrap().unwrap();
            assert_eq!(first.records, [], "the first says where the call begins");
            let Some(received) = from.next().await.unwrap() else { break };
            seen.take(&received.records);
            begin = Begin::Token(received.token);
            subscriptions += 1;
            if received.watermark == Some(EventTime::MAX) {
                break;
            }
        }
        assert!(subscriptions > 4, "{subscriptions}");
        assert_eq!(seen.keys, expected(1_000));
        // What is finished stays: for who was there, and for who comes now.
        let mut again = subscribe(addresses.clone(), "orders", begin);
        Seen::default().receive_all(&mut again).await;
        let mut whole = Seen::default();
        whole.receive_all(&mut subscribe(addresses, "orders", Begin::Earliest)).await;
        assert_eq!(whole.keys, expected(1_000));
    });
}

#[test]
fn i12_each_record_comes_once_while_workers_are_killed_and_drained() {
    let mut services = Services::start(pipeline, &[&[], &[], &[]]);
    let addresses = services.addresses();
    let (told, seen) = tokio::sync::watch::channel(0);
    let tailing = |first: usize, told: tokio::sync::watch::Sender<usize>| {
        let mut addresses = addresses.clone();
        addresses.rotate_left(first);
        let mut from = subscribe(addresses, "orders", Begin::Earliest);
        services.spawn(async move {
            let mut seen = Seen::default();
            while let Some(received) = from.next().await.unwrap() {
                seen.take(&received.records);
                told.send_replace(seen.count());
            }
            seen.keys
        })
    };
    let tails = [tailing(0, told.clone()), tailing(1, told)];
    let appending = appending(&services, 1_500);
    let until = |count: usize| {
        let mut seen = seen.clone();
        async move { seen.wait_for(|so_far| *so_far > count).await.map(|_| ()) }
    };
    services.block_on(until(500)).unwrap();
    services.kill(0);
    services.block_on(until(3_000)).unwrap();
    services.drain(1);
    for appended in appending {
        services.block_on(appended).unwrap();
    }
    services.block_on(finish(services.addresses()));
    for tail in tails {
        assert_eq!(services.block_on(tail).unwrap(), expected(1_500));
    }
}

/// The worker that is asked runs none of the log: it hears of each commit from the one that does. Were it to find each
/// record by looking at the store now and then, this would take longer than the test may.
#[test]
fn who_waits_for_the_latest_gets_what_comes_from_then_on_at_a_worker_that_owns_nothing_of_it() {
    let logs = ["orders.log", "recent.log"];
    let others = ["orders.clock", "orders.ingest", "orders.publish", "recent.publish"];
    let services = Services::start(pipeline, &[&logs, &others]);
    let addresses = services.addresses();
    services.block_on(async {
        append(addresses.clone(), "ann", 0..100).await;
        // The others may be on their way when the append is answered.
        let mut all = subscribe(addresses.clone(), "orders", Begin::Earliest);
        let mut seen = Seen::default();
        while seen.count() < 100 {
            seen.take(&all.next().await.unwrap().unwrap().records);
        }
        let mut latest = subscribe(vec![addresses[1].clone()], "orders", Begin::Latest);
        assert_eq!(latest.next().await.unwrap().unwrap().records, []);
        let mut seen = Seen::default();
        for number in 100..600u64 {
            append(addresses.clone(), "ann", number..number + 1).await;
            let count = seen.count();
            while seen.count() == count {
                seen.take(&latest.next().await.unwrap().unwrap().records);
            }
        }
        assert_eq!(seen.keys["ann"], (100..600).collect::<Vec<_>>());
    });
}

#[test]
fn i7_a_watermark_comes_behind_all_records_that_it_is_about() {
    let services = Services::start(pipeline, &[&[], &[]]);
    services.block_on(async {
        let mut from = subscribe(services.addresses(), "orders", Begin::Earliest);
        let (mut watermark, mut seen, mut steps) = (EventTime::MIN, Seen::default(), 0);
        let appending = async {
            for number in 0..40 {
                append(services.addresses(), "ann", number..number + 1).await;
            }
            finish(services.addresses()).await;
        };
        let receiving = async {
            while let Some(received) = from.next().await.unwrap() {
                let early = received.records.iter().filter(|record| record.event_time < watermark);
                assert_eq!(early.count(), 0, "no record is late: their times are those of arrival");
                seen.take(&received.records);
                if let Some(reached) = received.watermark {
                    assert!(reached > watermark);
                    (watermark, steps) = (reached, steps + 1);
                }
            }
        };
        tokio::join!(appending, receiving);
        assert_eq!((seen.count(), watermark), (40, EventTime::MAX));
        assert!(steps > 1, "{steps}");
    });
}

#[test]
fn i10_records_that_have_expired_are_an_error_that_says_so_never_a_gap() {
    let services = Services::start(pipeline, &[&[]]);
    let addresses = services.addresses();
    services.block_on(async {
        append(addresses.clone(), "ann", 0..500).await;
        let mut from = subscribe(addresses.clone(), "recent", Begin::Earliest);
        let mut seen = Seen::default();
        let mut token = None;
        while seen.count() < 100 {
            let received = from.next().await.unwrap().unwrap();
            seen.take(&received.records);
            token.get_or_insert(received.token);
        }
        append(addresses.clone(), "ann", 500..4_000).await;
        finish(addresses.clone()).await;
        let mut whole = Seen::default();
        whole.receive_all(&mut subscribe(addresses.clone(), "orders", Begin::Earliest)).await;
        assert_eq!(whole.count(), 4_000);
        let mut begun_late = Seen::default();
        begun_late.receive_all(&mut subscribe(addresses.clone(), "recent", Begin::Earliest)).await;
        let kept = begun_late.count();
        assert!((700..=1_000).contains(&kept), "{kept}");
        assert_eq!(begun_late.keys["ann"], (4_000 - kept as u64..4_000).collect::<Vec<_>>());
        let expired = subscribe(addresses.clone(), "recent", Begin::Token(token.unwrap())).next().await;
        let words = format!("{} records of partition 0, from 0 on, have expired", 4_000 - kept);
        assert!(matches!(&expired, Err(SubscribeError::Expired(why)) if why.contains(&words)), "{expired:?}");
    });
}

#[test]
fn i11_a_client_that_does_not_read_holds_nobody_and_is_told_when_records_have_expired_under_it() {
    let services = Services::start(pipeline, &[&[]]);
    let addresses = services.addresses();
    services.block_on(async {
        // So little fits into the client's window that most must wait at the worker.
        let to = tonic::transport::Endpoint::from_shared(format!("http://{}", addresses[0])).unwrap();
        let mut calls = Calls::new(to.initial_stream_window_size(1024).connect().await.unwrap());
        append(addresses.clone(), "ann", 0..900).await;
        let from = Some(Place::Earliest(Earliest {}));
        let request = SubscribeRequest { stream: "recent".into(), from };
        let mut slow = calls.subscribe(request).await.unwrap().into_inner();
        assert_eq!(slow.message().await.unwrap().unwrap().records, []);
        append(addresses.clone(), "ann", 900..6_000).await;
        let mut other = Seen::default();
        let mut from = subscribe(addresses.clone(), "orders", Begin::Earliest);
        while other.count() < 6_000 {
            other.take(&from.next().await.unwrap().unwrap().records);
        }
        let mut read = 0;
        let status = loop {
            match slow.message().await {
                Ok(Some(answer)) => read += answer.records.len(),
                Ok(None) => panic!("it ended after {read} records"),
                Err(status) => break status,
            }
        };
        assert!(status.code() == Code::OutOfRange && status.message().contains("have expired"), "{status}");
        // What was under way before: an answer or two, and no more.
        assert!(read <= 2_000, "{read}");
        finish(addresses).await;
    });
}

#[test]
fn i11_a_worker_serves_so_many_subscriptions_and_then_again_when_some_have_ended() {
    let services = Services::start(pipeline, &[&[]]);
    let address = services.addresses().remove(0);
    services.block_on(async {
        let security = pelton_transport::Security::none();
        let mut calls = Calls::new(pelton_transport::connect(&address, &security).unwrap());
        let request =
            || SubscribeRequest { stream: "orders".into(), from: Some(Place::Earliest(Earliest {})) };
        let mut open = Vec::new();
        for _ in 0..256 {
            let mut answers = calls.subscribe(request()).await.unwrap().into_inner();
            answers.message().await.unwrap().unwrap();
            open.push(answers);
        }
        let status = calls.subscribe(request()).await.unwrap_err();
        assert!(status.code() == Code::ResourceExhausted && status.message().contains("256"), "{status}");
        drop(open);
        // The client comes again by itself, until there is room.
        subscribe(vec![address], "orders", Begin::Earliest).next().await.unwrap().unwrap();
    });
}

#[test]
fn i10_a_wrong_request_is_refused_in_words() {
    let services = Services::start(pipeline, &[&[]]);
    let other = || -> Pipeline {
        use pelton::codec::Raw;
        use pelton::{Ingest, Stream};
        static ORDERS: Stream<bytes::Bytes, Raw> = Stream::new("orders");
        Pipeline::builder("bank").with(Ingest::new(&ORDERS)).publish("orders", &ORDERS).build().unwrap()
    };
    let bank = Services::start(other, &[&[]]);
    let address = services.addresses().remove(0);
    let first = |stream: &'static str, address: String| async move {
        subscribe(vec![address], stream, Begin::Earliest).next().await.unwrap().unwrap().token
    };
    let of_bank = bank.block_on(first("orders", bank.addresses().remove(0)));
    services.block_on(async {
        let good = first("orders", address.clone()).await;
        let security = pelton_transport::Security::none();
        let calls = Calls::new(pelton_transport::connect(&address, &security).unwrap());
        let token = |bytes: &[u8]| Some(Place::Token(bytes::Bytes::copy_from_slice(bytes)));
        let earliest = Some(Place::Earliest(Earliest {}));
        let cases = [
            ("nothing", earliest.clone(), Code::NotFound, "those that are: orders, recent"),
            ("", earliest, Code::NotFound, "no stream \"\""),
            ("orders", None, Code::InvalidArgument, "where to begin"),
            ("orders", token(b""), Code::InvalidArgument, "no token"),
            ("orders", token(b"garbage that is long enough"), Code::InvalidArgument, "no token"),
            ("orders", token(&good[..good.len() - 1]), Code::InvalidArgument, "not all of it"),
            ("orders", token(&[7; 2049]), Code::InvalidArgument, "2049 bytes"),
            ("recent", token(&good), Code::FailedPrecondition, "is of stream \"orders\""),
            ("orders", token(&of_bank), Code::FailedPrecondition, "is of pipeline \"bank\""),
        ];
        for (stream, from, code, words) in cases {
            let request = SubscribeRequest { stream: stream.into(), from };
            let status = calls.clone().subscribe(request).await.unwrap_err();
            assert!(status.code() == code && status.message().contains(words), "{status}");
        }
        let refused = subscribe(vec![address], "nothing", Begin::Latest).next().await;
        assert!(matches!(&refused, Err(SubscribeError::Refused(why)) if why.contains("nothing")));
    });
}
