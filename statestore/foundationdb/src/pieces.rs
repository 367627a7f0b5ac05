//! Values that are longer than a value of FoundationDB may be.
//!
//! A row holds at most [`ROW_BYTES_MAX`] bytes. A value at least that long fills its row, and the rest lies in pieces
//! beside the rows; so a full row says that pieces follow (perhaps none), and a shorter value costs nothing for it.
//!
//! The pieces of a value are written in the commit that writes its row, behind a clear of all that lay there (I2).
//! Pieces left behind by a value that was replaced by a short one or deleted are never read. They are cleared where
//! the process knows that the store has long values, and otherwise by the next long value of that key, so they cost
//! space at most.

use bytes::{Bytes, BytesMut};

/// The longest value of FoundationDB.
pub(crate) const ROW_BYTES_MAX: usize = 100_000;

/// The longest value of a store: ten rows.
pub(crate) const VALUE_BYTES_MAX: usize = 10 * ROW_BYTES_MAX;

/// What goes into the row, and the pieces; `None` where the row is enough.
pub(crate) fn split(value: &[u8]) -> Option<(&[u8], impl Iterator<Item = &[u8]>)> {
    let (row, rest) = value.split_at_checked(ROW_BYTES_MAX)?;
    Some((row, rest.chunks(ROW_BYTES_MAX)))
}

/// Whether pieces belong to a row.
pub(crate) fn follow(row: &[u8]) -> bool {
    row.len() >= ROW_BYTES_MAX
}

/// The value again.
pub(crate) fn join<'a>(row: &[u8], pieces: impl Iterator<Item = &'a [u8]>) -> Bytes {
    let mut value = BytesMut::from(row);
    for piece in pieces {
        value.extend_from_slice(piece);
    }
    value.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_same_after_being_cut() {
        for length in
            [0, 1, ROW_BYTES_MAX - 1, ROW_BYTES_MAX, ROW_BYTES_MAX + 1, 3 * ROW_BYTES_MAX, VALUE_BYTES_MAX]
        {
            let value: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            match split(&value) {
                None => assert!(!follow(&value)),
                Some((row, pieces)) => {
                    let pieces: Vec<&[u8]> = pieces.collect();
                    assert!(follow(row) && row.len() == ROW_BYTES_MAX);
                    assert!(pieces.iter().all(|piece| piece.len() <= ROW_BYTES_MAX && !piece.is_empty()));
                    assert!(pieces.len() < 10);
                    assert_eq!(join(row, pieces.into_iter()), value);
                }
            }
        }
    }
}
