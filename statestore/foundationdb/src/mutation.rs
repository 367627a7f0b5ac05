//! The writes of a commit, put into its transaction in their order; and what they weigh there.

use crate::client::conflict_with_writers;
use crate::pieces;
use crate::space::{KEY_BYTES_MAX, Space, Span};
use foundationdb::{FdbError, Transaction};
use pelton_statestore::keys::{is_fence, may_hold_fences};
use pelton_statestore::{Commit, CommitError, Precondition, Write};

/// FoundationDB's limit for one transaction, conflict ranges included.
const TRANSACTION_BYTES_MAX: usize = 10_000_000;

/// What the client adds to the bytes of one mutation and of one conflict range, rounded up.
const MUTATION_OVERHEAD_BYTES: usize = 64;
const CONFLICT_OVERHEAD_BYTES: usize = 40;

/// Checks what only FoundationDB limits: a transaction with its prefixes and conflict ranges, and the keys of pieces.
///
/// # Errors
/// [`CommitError::TooLarge`].
pub(crate) fn check(space: &Space, commit: &Commit) -> Result<(), CommitError> {
    for write in &commit.writes {
        if let Write::Put { key, value } = write
            && value.len() >= pieces::ROW_BYTES_MAX
            && space.piece_key_bytes(key) > KEY_BYTES_MAX
        {
            let (size_bytes, limit_bytes) = (space.piece_key_bytes(key), KEY_BYTES_MAX);
            return Err(CommitError::TooLarge { what: "key of a long value", size_bytes, limit_bytes });
        }
    }
    let size_bytes = transaction_bytes(space, commit);
    if size_bytes > TRANSACTION_BYTES_MAX {
        let limit_bytes = TRANSACTION_BYTES_MAX;
        return Err(CommitError::TooLarge { what: "FoundationDB transaction", size_bytes, limit_bytes });
    }
    Ok(())
}

/// What a commit weighs as a transaction: never less than what the client counts.
fn transaction_bytes(space: &Space, commit: &Commit) -> usize {
    let prefix = space.prefix_bytes();
    let conflict = |key: usize| 2 * (prefix + key) + 1 + CONFLICT_OVERHEAD_BYTES;
    let ends = |range: &pelton_statestore::KeyRange| 2 * prefix + range.start.len() + range.end.len();
    let preconditions = commit.preconditions.iter().map(|precondition| match precondition {
        Precondition::Value { key, .. } => conflict(key.len()),
        Precondition::Empty { range } => ends(range) + CONFLICT_OVERHEAD_BYTES,
    });
    let writes = commit.writes.iter().map(|write| match write {
        Write::Put { key, value } => {
            let rows = 1 + value.len() / pieces::ROW_BYTES_MAX;
            value.len() + rows * (prefix + key.len() + MUTATION_OVERHEAD_BYTES + conflict(key.len()))
        }
        Write::Delete { key } => 2 * (prefix + key.len()) + 1 + MUTATION_OVERHEAD_BYTES + conflict(key.len()),
        Write::DeleteRange { range } => 2 * ends(range) + MUTATION_OVERHEAD_BYTES + CONFLICT_OVERHEAD_BYTES,
    });
    preconditions.chain(writes).sum()
}

/// Puts the writes into the transaction.
///
/// I1: a fence is never written blind. Two commits of one batch have one version, so a blind write beside a commit
/// of the fence's owner would go unseen by the owner's next commit on the fast path. `clear_pieces`: whether pieces
/// of overwritten values may have to go.
pub(crate) fn apply(
    transaction: &Transaction,
    space: &Space,
    commit: &Commit,
    clear_pieces: bool,
) -> Result<(), FdbError> {
    let required = |key: &[u8]| {
        commit.preconditions.iter().any(|precondition| match precondition {
            Precondition::Value { key: required, .. } => required == key,
            Precondition::Empty { .. } => false,
        })
    };
    let clear = |span: &Span| transaction.clear_range(&span.start, &span.end);
    for write in &commit.writes {
        match write {
            Write::Put { key, value } => {
                let row = space.row(key);
                let fence = is_fence(key);
                if fence && !required(key) {
                    conflict_with_writers(transaction, &Span::of_key(&row))?;
                }
                match pieces::split(value) {
                    Some((start, rest)) => {
                        clear(&space.pieces(key));
                        transaction.set(&row, start);
                        for (number, piece) in (0..).zip(rest) {
                            transaction.set(&space.piece(key, number), piece);
                        }
                    }
                    None => {
                        transaction.set(&row, value);
                        if clear_pieces && !fence {
                            clear(&space.pieces(key));
                        }
                    }
                }
            }
            Write::Delete { key } => {
                let row = space.row(key);
                if is_fence(key) && !required(key) {
                    conflict_with_writers(transaction, &Span::of_key(&row))?;
                }
                transaction.clear(&row);
                if clear_pieces {
                    clear(&space.pieces(key));
                }
            }
            Write::DeleteRange { range } if range.is_empty() => {}
            Write::DeleteRange { range } => {
                let rows = space.rows(range);
                if may_hold_fences(range) {
                    conflict_with_writers(transaction, &rows)?;
                }
                clear(&rows);
                if clear_pieces {
                    clear(&space.pieces_of(range));
                }
            }
        }
    }
    Ok(())
}

/// Whether a commit writes pieces.
pub(crate) fn writes_pieces(commit: &Commit) -> bool {
    let long =
        |write: &Write| matches!(write, Write::Put { value, .. } if value.len() >= pieces::ROW_BYTES_MAX);
    commit.writes.iter().any(long)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn puts(count: usize, key_bytes: usize, value_bytes: usize) -> Commit {
        let put = |number: usize| Write::Put {
            key: format!("{number:0key_bytes$}").into(),
            value: vec![0; value_bytes].into(),
        };
        Commit { preconditions: vec![], writes: (0..count).map(put).collect() }
    }

    #[test]
    fn many_small_writes_weigh_more_than_their_bytes() {
        let space = Space::new("p");
        assert_eq!(check(&space, &puts(10_000, 30, 10)), Ok(()));
        let error = check(&space, &puts(100_000, 30, 10)).unwrap_err();
        assert!(matches!(error, CommitError::TooLarge { what: "FoundationDB transaction", .. }), "{error}");
    }

    #[test]
    fn the_largest_values_of_a_commit_fit() {
        assert_eq!(check(&Space::new("p"), &puts(7, 30, pieces::VALUE_BYTES_MAX)), Ok(()));
    }

    #[test]
    fn a_long_value_needs_room_behind_its_key() {
        let space = Space::new("p");
        let put = |key: Vec<u8>| Commit {
            preconditions: vec![],
            writes: vec![Write::Put { key: key.into(), value: Bytes::from(vec![0; 200_000]) }],
        };
        assert_eq!(check(&space, &put(vec![1; space.key_bytes_max()])), Ok(()));
        let error = check(&space, &put(vec![0; space.key_bytes_max()])).unwrap_err().to_string();
        assert!(error.contains("key of a long value") && error.contains("10000"), "{error}");
    }
}
