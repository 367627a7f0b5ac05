//! One client that floods, beside others that do not.

use crate::of_client;
use crate::secured::Ca;
use crate::services::Services;
use pelton::client::{IngestClient, Security};
use pelton::{IngestLimits, WallClock};
use pelton_proto::ingest::AppendRequest;
use pelton_proto::ingest::ingest_client::IngestClient as Calls;
use pelton_transport::connect;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tonic::Code;

/// What may come at once: a whole request.
const BURST: u64 = 1_000;
const PER_S: u64 = 20;

#[test]
#[expect(clippy::disallowed_methods, reason = "a rate is measured against time")]
fn i11_a_client_that_floods_is_held_to_its_rate_and_another_is_not() {
    let ca = Ca::new();
    let limits = IngestLimits {
        client_records_per_s_max: NonZeroU32::new(u32::try_from(PER_S).unwrap()),
        ..IngestLimits::default()
    };
    let services = Services::start_secured(vec![Arc::new(WallClock)], ca.give("workers"), limits);
    let flooding = ca.give("flooding");
    let began = std::time::Instant::now();
    let taken = Arc::new(AtomicU64::new(0));
    // Under two names, with one certificate: they share its rate.
    let floods: Vec<_> = ["ann", "and"]
        .into_iter()
        .map(|name| {
            let (addresses, flooding, taken) = (services.addresses(), flooding.clone(), taken.clone());
            services.spawn(async move {
                let mut client = IngestClient::connect(addresses, "orders", name).unwrap().secured(flooding);
                for chunk in 0..1_000u64 {
                    let records = (chunk * 100..(chunk + 1) * 100).map(|id| of_client(name, id));
                    client.append(records.collect()).await.unwrap();
                    taken.fetch_add(100, Ordering::SeqCst);
                }
            })
        })
        .collect();
    services.block_on(async {
        while taken.load(Ordering::SeqCst) < BURST {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let good = IngestClient::connect(services.addresses(), "orders", "bob").unwrap();
        let mut good = good.secured(ca.give("bob"));
        good.append((0..BURST).map(|id| of_client("bob", id)).collect()).await.unwrap();
    });
    let most = BURST + PER_S * (began.elapsed().as_secs() + 1);
    let taken = taken.load(Ordering::SeqCst);
    assert!(taken <= most, "{taken} of at most {most}");
    assert!(floods.iter().all(|flood| !flood.is_finished()));
    floods.iter().for_each(|flood| flood.abort());
}

#[test]
fn i11_a_call_too_many_is_refused_and_the_others_go_on() {
    let limits = IngestLimits { client_calls_max: NonZeroU32::new(1), ..IngestLimits::default() };
    let services = Services::start_secured(vec![Arc::new(WallClock)], Security::none(), limits);
    services.block_on(async {
        let mut ann = IngestClient::connect(services.addresses(), "orders", "ann").unwrap();
        ann.append(vec![of_client("ann", 0)]).await.unwrap();
        let mut calls = Calls::new(connect(&services.addresses()[0], &Security::none()).unwrap());
        let request = AppendRequest { stream: "orders".into(), client: "ann".into(), records: Vec::new() };
        let mut second = calls.append(tokio_stream::iter([request])).await.unwrap().into_inner();
        let refused = second.message().await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        assert!(refused.message().contains("1 calls open") && refused.message().contains("try again"));
        ann.append(vec![of_client("ann", 1)]).await.unwrap();
        let mut bob = IngestClient::connect(services.addresses(), "orders", "bob").unwrap();
        bob.append(vec![of_client("bob", 0)]).await.unwrap();
    });
}
