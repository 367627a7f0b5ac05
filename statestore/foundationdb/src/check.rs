//! The preconditions of a commit, read in its transaction with a conflict range on each (I1).

use crate::client::{Client, get_range};
use crate::fault::Trouble;
use crate::pieces;
use bytes::Bytes;
use foundationdb::Transaction;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use pelton_statestore::Precondition;

/// The first precondition that does not hold, by its key or the start of its range.
pub(crate) async fn first_broken(
    client: &Client,
    transaction: &Transaction,
    preconditions: &[Precondition],
) -> Result<Option<Bytes>, Trouble> {
    let checks = preconditions.iter().map(|precondition| holds(client, transaction, precondition));
    for (precondition, holds) in preconditions.iter().zip(join_all(checks).await) {
        if !holds? {
            return Ok(Some(precondition.at().clone()));
        }
    }
    Ok(None)
}

fn holds<'a>(
    client: &'a Client,
    transaction: &'a Transaction,
    precondition: &'a Precondition,
) -> BoxFuture<'a, Result<bool, Trouble>> {
    match precondition {
        Precondition::Value { key, expected } => {
            has_value(client, transaction, key, expected.as_deref()).boxed()
        }
        Precondition::Empty { range } => {
            let span = client.space.rows(range);
            if span.is_empty() {
                return async { Ok(true) }.boxed();
            }
            // Where nothing is found, the conflict range is the whole span.
            let found = get_range(transaction, &span, 1, 0, false);
            async { Ok(found.await?.is_empty()) }.boxed()
        }
    }
}

async fn has_value(
    client: &Client,
    transaction: &Transaction,
    key: &[u8],
    expected: Option<&[u8]>,
) -> Result<bool, Trouble> {
    if key.len() > client.space.key_bytes_max() {
        // No such key can have been written.
        return Ok(expected.is_none());
    }
    let row = transaction.get(&client.space.row(key), false).await?;
    let (row, expected) = match (row, expected) {
        (None, None) => return Ok(true),
        (Some(row), Some(expected)) => (row, expected),
        _ => return Ok(false),
    };
    if !pieces::follow(&row) {
        return Ok(row.as_ref() == expected);
    }
    let Some(rest) = expected.strip_prefix(row.as_ref()) else { return Ok(false) };
    let found = get_range(transaction, &client.space.pieces(key), PIECES_MAX, 0, false).await?;
    Ok(pieces::join(&[], found.iter().map(|piece| piece.value())) == rest)
}

/// More than the pieces of any value.
pub(crate) const PIECES_MAX: usize = 100;
