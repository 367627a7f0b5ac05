//! A counter under a fence: every commit adds one, and writes down which it was. Exact, or the fence failed.

use bytes::Bytes;
use pelton_domain::{Key, KeyInterval, Name, Sequencer};
use pelton_statestore::fence::{FencedError, TakeOverError, random_tokens, take_over};
use pelton_statestore::{ComputationKeys, PipelineKeys, Reign, Scan, StoreHandle, Write};

/// The owner of a counter.
pub(crate) struct Counter {
    pub(crate) reign: Reign,
    keys: ComputationKeys,
    /// What was acknowledged so far, by all owners that this one knows of.
    pub(crate) count: u64,
}

pub(crate) fn keys(name: &str) -> ComputationKeys {
    PipelineKeys::new(&Name::new(name).unwrap()).computation(1)
}

/// Makes the counter, unless it is there.
pub(crate) async fn create(store: &StoreHandle, keys: &ComputationKeys) {
    let intervals = [KeyInterval::FULL];
    pelton_statestore::fence::create_fences(store, keys, &intervals, vec![], &random_tokens()).await.unwrap();
}

impl Counter {
    /// Takes the counter over.
    pub(crate) async fn take(store: &StoreHandle, name: &str, sequencer: u64) -> Self {
        Self::try_take(store, name, sequencer).await.unwrap()
    }

    pub(crate) async fn try_take(
        store: &StoreHandle,
        name: &str,
        sequencer: u64,
    ) -> Result<Self, TakeOverError> {
        let keys = keys(name);
        create(store, &keys).await;
        let sequencer = Sequencer::new(sequencer).unwrap();
        let reign = take_over(store, &keys, KeyInterval::FULL, sequencer, vec![], &random_tokens()).await?;
        let count = entries(store, &keys).await;
        Ok(Self { reign, keys, count })
    }

    /// Adds one, and `padding` other keys beside it.
    pub(crate) async fn add(&mut self, padding: usize) -> Result<(), FencedError> {
        let next = self.count + 1;
        let entry = |name: String| self.keys.state(&Key::from("counter"), b"", b"entry", name.as_bytes());
        let mut writes =
            vec![Write::Put { key: entry(format!("{next:08}")), value: Bytes::from_static(b"1") }];
        writes.extend((0..padding).map(|number| Write::Put {
            key: self.keys.state(&Key::from("padding"), b"", b"entry", &number.to_be_bytes()),
            value: Bytes::from(next.to_be_bytes().to_vec()),
        }));
        let update = self.reign.fence().unchanged();
        self.reign.commit(writes, &update).await?;
        self.count = next;
        Ok(())
    }
}

/// How many entries there are. Each is the next after the one before, or the counter lost or doubled one.
pub(crate) async fn entries(store: &StoreHandle, keys: &ComputationKeys) -> u64 {
    let mut range = keys.state_of_cell(&Key::from("counter"), b"", b"entry");
    let mut count = 0;
    loop {
        let page = match store.scan(Scan::page_of(range.clone())).await {
            Ok(page) => page,
            Err(pelton_statestore::ReadError::Unavailable(_)) => {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
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
