//! What a round trip and a commit cost by themselves.

use crate::bench::percentile;
use anyhow::Result;
use bytes::Bytes;
use pelton_proto::statestore::DescribeRequest;
use pelton_proto::statestore::state_store_client::StateStoreClient;
use pelton_statestore::{Commit, Write};
use pelton_transport::{Security, connect};
use std::time::{Duration, Instant};

/// Medians and 99th percentiles, in microseconds.
pub(crate) struct Raw {
    pub(crate) round_trip: (i64, i64),
    pub(crate) commit: (i64, i64),
}

/// One call after the other to the store at `address`.
pub(crate) fn measure(address: &str, during: Duration) -> Result<Raw> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut client = StateStoreClient::new(connect(address, &Security::none())?);
        let store = pelton_statestore::open(&format!("remote:{address}")).await?;
        let (mut trips, mut commits) = (Vec::new(), Vec::new());
        let end = now() + during;
        let mut number = 0u64;
        while now() < end {
            let began = now();
            client.describe(DescribeRequest { protocol: pelton_proto::PROTOCOL }).await?;
            trips.push(micros(began));
            number += 1;
            // A version byte that no pipeline has.
            let key = Bytes::from(format!("\u{1}raw{}", number % 100));
            let value = Bytes::from(vec![7; 200]);
            let began = now();
            store.commit(Commit { preconditions: vec![], writes: vec![Write::Put { key, value }] }).await?;
            commits.push(micros(began));
        }
        Ok(Raw {
            round_trip: (percentile(&mut trips, 50), percentile(&mut trips, 99)),
            commit: (percentile(&mut commits, 50), percentile(&mut commits, 99)),
        })
    })
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn now() -> Instant {
    Instant::now()
}

fn micros(began: Instant) -> i64 {
    i64::try_from((now() - began).as_micros()).unwrap_or(i64::MAX)
}
