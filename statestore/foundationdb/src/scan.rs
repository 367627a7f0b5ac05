//! Pages of ranges.
//!
//! A page is read in one transaction, pieces of long values included, so it is of one moment. A snapshot that passes
//! away while it is read is given up, and the page begun anew.

use crate::client::{Client, SNAPSHOTS_MAX, get_range};
use crate::fault::Trouble;
use crate::read::{all_passed_away, give_up, whole};
use bytes::{BufMut, Bytes, BytesMut};
use foundationdb::future::{FdbKeyValue, FdbValues};
use pelton_statestore::{Page, ReadError, Scan};

/// The largest page that is asked for, whatever the caller would take.
const PAGE_ROWS_MAX: usize = 10_000;
const PAGE_BYTES_MAX: usize = 4_000_000;

/// One page.
pub(crate) async fn scan(client: &Client, scan: &Scan) -> Result<Page, ReadError> {
    if scan.range.is_empty() {
        return Ok(Page::default());
    }
    for _ in 0..SNAPSHOTS_MAX {
        match on_one_snapshot(client, scan).await {
            Ok(page) => return Ok(page),
            Err(trouble) => give_up(&trouble)?,
        }
    }
    Err(all_passed_away())
}

async fn on_one_snapshot(client: &Client, scan: &Scan) -> Result<Page, Trouble> {
    let transaction = client.begin()?;
    let rows_max = scan.entries_max.clamp(1, PAGE_ROWS_MAX);
    let bytes_max = scan.bytes_max.clamp(1, PAGE_BYTES_MAX);
    let mut rest = scan.range.clone();
    let mut page = Page::default();
    let mut bytes = 0;
    while page.entries.len() < rows_max && bytes < bytes_max {
        // The client counts more bytes for a row than a page does, so it gives no more than was asked for. It may
        // give less: what one message holds.
        let (rows, room) = (rows_max - page.entries.len(), bytes_max - bytes);
        let found = get_range(&transaction, &client.space.rows(&rest), rows, room, true).await?;
        let is_end = !found.more();
        for (key, row) in copied(client, &found) {
            rest.start = after(&key);
            let value = whole(client, &transaction, &key, row).await?;
            bytes += key.len() + value.len();
            page.entries.push((key, value));
            if bytes >= bytes_max {
                break;
            }
        }
        page.next = Some(rest.start.clone());
        if is_end && bytes < bytes_max {
            page.next = None;
            break;
        }
    }
    client.expect_same(&transaction).await?;
    Ok(page)
}

/// Keys and rows, out of the memory that belongs to the client's answer.
fn copied(client: &Client, found: &FdbValues) -> Vec<(Bytes, Bytes)> {
    let copy = |row: &FdbKeyValue| {
        client.space.key_of_row(row.key()).map(|key| (key, Bytes::copy_from_slice(row.value())))
    };
    found.iter().filter_map(copy).collect()
}

/// The next possible key.
fn after(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}
