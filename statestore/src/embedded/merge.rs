//! One page out of three sorted sources, the newer hiding the older. Pure but for what reading the oldest costs.

use super::table::Part;
use crate::store::{Page, Scan};
use bytes::{BufMut, Bytes, BytesMut};
use std::iter::Peekable;

/// Merges `newest`, `newer` and `oldest`, which all lie in the range of `scan` and ascend.
pub(super) fn page<'a, E>(
    scan: &Scan,
    newest: Part,
    newer: impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)>,
    oldest: impl Iterator<Item = Result<(Bytes, Bytes), E>>,
) -> Result<Page, E> {
    let is_cut = newest.is_cut;
    let mut newest = newest.entries.into_iter().peekable();
    let mut newer = newer.map(|(key, value)| (key.clone(), value.clone())).peekable();
    let mut oldest = oldest.peekable();
    let mut page = Page::default();
    let mut size_bytes = 0;
    loop {
        let full = page.entries.len() >= scan.entries_max || size_bytes >= scan.bytes_max;
        // Once the newest part is used up it hides nothing any more; were it cut, the page would be full by now.
        let Some(next) = least(&mut newest, &mut newer, &mut oldest)? else {
            page.next = page.entries.last().filter(|_| is_cut).map(|(key, _)| after(key));
            return Ok(page);
        };
        if full && !page.entries.is_empty() {
            page.next = page.entries.last().map(|(key, _)| after(key));
            return Ok(page);
        }
        // Every source moves on, whichever of them counts.
        let (first, second) = (take(&mut newest, &next), take(&mut newer, &next));
        let third = take_result(&mut oldest, &next)?;
        let value = match first.or(second) {
            Some(value) => value.as_ref().map(detached),
            None => third,
        };
        if let Some(value) = value {
            size_bytes += next.len() + value.len();
            page.entries.push((detached(&next), value));
        }
    }
}

/// A copy. Tables in memory hold slices of whole commits, which a caller who keeps one value must not keep alive.
pub(super) fn detached(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// The least key that any of the sources goes on with.
fn least<E>(
    newest: &mut Peekable<impl Iterator<Item = (Bytes, Option<Bytes>)>>,
    newer: &mut Peekable<impl Iterator<Item = (Bytes, Option<Bytes>)>>,
    oldest: &mut Peekable<impl Iterator<Item = Result<(Bytes, Bytes), E>>>,
) -> Result<Option<Bytes>, E> {
    let third = match oldest.next_if(Result::is_err) {
        Some(error) => return error.map(|_| None),
        None => oldest.peek().and_then(|entry| entry.as_ref().ok()).map(|(key, _)| key),
    };
    let first = newest.peek().map(|(key, _)| key);
    let second = newer.peek().map(|(key, _)| key);
    Ok([first, second, third].into_iter().flatten().min().cloned())
}

type Hit = Option<Option<Bytes>>;

fn take(source: &mut Peekable<impl Iterator<Item = (Bytes, Option<Bytes>)>>, key: &Bytes) -> Hit {
    source.next_if(|(at, _)| at == key).map(|(_, value)| value)
}

fn take_result<E>(
    source: &mut Peekable<impl Iterator<Item = Result<(Bytes, Bytes), E>>>,
    key: &Bytes,
) -> Result<Option<Bytes>, E> {
    let entry = source.next_if(|entry| entry.as_ref().is_ok_and(|(at, _)| at == key));
    Ok(entry.transpose()?.map(|(_, value)| value))
}

/// The least key behind `key`.
fn after(key: &Bytes) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}
