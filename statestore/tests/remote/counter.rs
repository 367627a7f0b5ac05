//! A counter under a fence: every commit adds one entry, the next after the one before. Exact, or the fence failed.

use bytes::Bytes;
use pelton_domain::{Key, KeyInterval, Name, Sequencer};
use pelton_statestore::fence::{FencedError, TakeOverError, create_fences, random_tokens, take_over};
use pelton_statestore::{ComputationKeys, PipelineKeys, ReadError, Reign, Scan, StoreHandle, Write};
use std::time::Duration;

/// The owner of a counter.
pub(crate) struct Counter {
    reign: Reign,
    keys: ComputationKeys,
    /// What was acknowledged so far, by all owners up to this one.
    pub(crate) count: u64,
}

pub(crate) fn keys(name: &str) -> ComputationKeys {
    PipelineKeys::new(&Name::new(name).unwrap()).computation(1)
}

impl Counter {
    /// Takes the counter over, and makes it where there is none.
    pub(crate) async fn take(store: &StoreHandle, name: &str, sequencer: u64) -> Self {
        Self::try_take(store, name, sequencer).await.unwrap()
    }

    pub(crate) async fn try_take(
        store: &StoreHandle,
        name: &str,
        sequencer: u64,
    ) -> Result<Self, TakeOverError> {
        let (keys, full) = (keys(name), KeyInterval::FULL);
        create_fences(store, &keys, &[full], vec![], &random_tokens()).await?;
        let sequencer = Sequencer::new(sequencer).unwrap();
        let reign = take_over(store, &keys, full, sequencer, vec![], &random_tokens()).await?;
        let count = entries(store, name).await;
        Ok(Self { reign, keys, count })
    }

    /// Adds one.
    pub(crate) async fn add(&mut self) -> Result<(), FencedError> {
        let next = self.count + 1;
        let key = self.keys.state(&Key::from("counter"), b"", b"entry", format!("{next:08}").as_bytes());
        let update = self.reign.fence().unchanged();
        let writes = vec![Write::Put { key, value: Bytes::from_static(b"1") }];
        self.reign.commit(writes, &update).await?;
        self.count = next;
        Ok(())
    }
}

/// How many entries there are. Each is the next after the one before, or the counter lost or doubled one.
pub(crate) async fn entries(store: &StoreHandle, name: &str) -> u64 {
    let mut range = keys(name).state_of_cell(&Key::from("counter"), b"", b"entry");
    let mut count = 0;
    loop {
        let page = match store.scan(Scan::page_of(range.clone())).await {
            Ok(page) => page,
            Err(ReadError::Unavailable(_)) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        for (key, _) in page.entries {
            count += 1;
            assert!(key.ends_with(format!("{count:08}").as_bytes()), "I1: entry {count} is missing");
        }
        match page.next {
            Some(next) => range.start = next,
            None => return count,
        }
    }
}
