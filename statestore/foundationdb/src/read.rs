//! Values, read in batches.
//!
//! One transaction with a read version of its own, asked for after the call began and without any shortcut of the
//! client's: so each value is at least as new as every commit that had returned by then. Cached or risky read
//! versions would save a message and break that.

use crate::check::PIECES_MAX;
use crate::client::{Client, SNAPSHOTS_MAX, get_range};
use crate::fault::{BeforeCommit, Trouble};
use crate::pieces;
use bytes::Bytes;
use foundationdb::Transaction;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use pelton_statestore::{ReadError, StoreFault};

/// How many keys of one call are under way at once.
const PARALLEL_MAX: usize = 512;

/// The values of `keys`, in their order.
pub(crate) async fn read(client: &Client, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, ReadError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    for _ in 0..SNAPSHOTS_MAX {
        match on_one_snapshot(client, keys).await {
            Ok(values) => return Ok(values),
            Err(trouble) => give_up(&trouble)?,
        }
    }
    Err(all_passed_away())
}

async fn on_one_snapshot(client: &Client, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Trouble> {
    let transaction = client.begin()?;
    let values = stream::iter(keys.iter().cloned())
        .map(|key| value(client, &transaction, key))
        .buffered(PARALLEL_MAX)
        .try_collect()
        .await?;
    client.expect_same(&transaction).await?;
    Ok(values)
}

/// Whether a read may begin anew after this trouble; else what its caller is told.
pub(crate) fn give_up(trouble: &Trouble) -> Result<(), ReadError> {
    match trouble.before_commit() {
        BeforeCommit::Stale => Ok(()),
        BeforeCommit::NotNow => Err(ReadError::Unavailable(trouble.fault())),
        BeforeCommit::Broken => Err(ReadError::Fatal(trouble.fault())),
    }
}

pub(crate) fn all_passed_away() -> ReadError {
    ReadError::Unavailable(StoreFault("every snapshot passed away before it was read".to_owned()))
}

async fn value(client: &Client, transaction: &Transaction, key: Bytes) -> Result<Option<Bytes>, Trouble> {
    if key.len() > client.space.key_bytes_max() {
        // No such key can have been written, and the client would not even ask.
        return Ok(None);
    }
    let Some(row) = transaction.get(&client.space.row(&key), true).await? else { return Ok(None) };
    Ok(Some(whole(client, transaction, &key, Bytes::copy_from_slice(&row)).await?))
}

/// The value whose row this is, with its pieces.
pub(crate) async fn whole(
    client: &Client,
    transaction: &Transaction,
    key: &[u8],
    row: Bytes,
) -> Result<Bytes, Trouble> {
    if !pieces::follow(&row) {
        return Ok(row);
    }
    let found = get_range(transaction, &client.space.pieces(key), PIECES_MAX, 0, true).await?;
    Ok(pieces::join(&row, found.iter().map(|piece| piece.value())))
}
