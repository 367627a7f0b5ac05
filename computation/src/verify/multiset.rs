//! Two collections without an order, compared by what they have and how often: lines of a file, dead letters, bags.
//!
//! Items are told by a hash of 128 bits, and counted a share of them at a time, so that memory has a bound whatever
//! their number (I11): with more of them, both sides are read more often.

use super::VerifyError;
use super::difference::{Difference, Place};
use bytes::Bytes;
use pelton_domain::Key;
use std::collections::HashMap;

/// How many different items are counted in one pass.
const ITEMS_OF_PASS_MAX: u64 = 1_000_000;

/// Something that may be there several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// What tells it from others.
    pub(super) id: u128,
    /// Here so often.
    pub(super) times: u64,
    /// Whose; `None` where its side does not say.
    pub(super) key: Option<Key>,
    pub(super) place: Place,
    /// What is shown of it.
    pub(super) shown: Bytes,
}

/// A collection that can be read several times.
pub(super) trait Items {
    async fn each(&self, visit: &mut (dyn FnMut(Item) + Send)) -> Result<(), VerifyError>;
}

/// Compares `live` with `shadow`, and reports what one of them has more often. Returns how many items were compared, of
/// the side that has more.
pub(super) async fn compare(
    computation: &str,
    live: &impl Items,
    shadow: &impl Items,
    report: &mut (dyn FnMut(Difference) + Send),
) -> Result<u64, VerifyError> {
    compare_in_passes(computation, live, shadow, ITEMS_OF_PASS_MAX, report).await
}

async fn compare_in_passes(
    computation: &str,
    live: &impl Items,
    shadow: &impl Items,
    of_pass_max: u64,
    report: &mut (dyn FnMut(Difference) + Send),
) -> Result<u64, VerifyError> {
    let (here, there) = (count(live).await?, count(shadow).await?);
    let passes = (here + there).div_ceil(of_pass_max).max(1);
    for pass in 0..passes {
        let share = |id: u128| u64::try_from(id % u128::from(passes)).is_ok_and(|share| share == pass);
        let mut more: HashMap<u128, i64> = HashMap::new();
        let times = |item: &Item| i64::try_from(item.times).unwrap_or(i64::MAX);
        let mut add = |item: Item, sign: i64| {
            if share(item.id) {
                *more.entry(item.id).or_default() += sign * times(&item);
            }
        };
        live.each(&mut |item| add(item, 1)).await?;
        shadow.each(&mut |item| add(item, -1)).await?;
        more.retain(|_, more| *more != 0);
        if more.is_empty() {
            continue;
        }
        live.each(&mut |item| tell(computation, item, true, &mut more, report)).await?;
        shadow.each(&mut |item| tell(computation, item, false, &mut more, report)).await?;
    }
    Ok(here.max(there))
}

async fn count(items: &impl Items) -> Result<u64, VerifyError> {
    let mut count = 0;
    items.each(&mut |item| count += item.times).await?;
    Ok(count)
}

/// Reports an item of which the side that it is on has more, as often as is left to be told of.
fn tell(
    computation: &str,
    item: Item,
    is_live: bool,
    more: &mut HashMap<u128, i64>,
    report: &mut (dyn FnMut(Difference) + Send),
) {
    let Some(left) = more.get_mut(&item.id) else { return };
    let here = if is_live { *left } else { -*left };
    let times = u64::try_from(here).unwrap_or(0).min(item.times);
    if times == 0 {
        return;
    }
    let told = i64::try_from(times).unwrap_or(i64::MAX);
    *left -= if is_live { told } else { -told };
    let shown = Some(item.shown);
    let (live, shadow) = if is_live { (shown, None) } else { (None, shown) };
    let computation = computation.to_owned();
    report(Difference { computation, key: item.key, place: item.place, live, shadow, times });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    impl Items for Vec<Item> {
        async fn each(&self, visit: &mut (dyn FnMut(Item) + Send)) -> Result<(), VerifyError> {
            self.iter().cloned().for_each(visit);
            Ok(())
        }
    }

    fn items(names: &[(u8, u64)]) -> Vec<Item> {
        let item = |(name, times): &(u8, u64)| Item {
            id: u128::from(*name),
            times: *times,
            key: None,
            place: Place::DeadLetter,
            shown: vec![*name].into(),
        };
        names.iter().map(item).collect()
    }

    fn count(names: &[(u8, u64)]) -> BTreeMap<u8, i64> {
        let mut counts = BTreeMap::new();
        names
            .iter()
            .for_each(|(name, times)| *counts.entry(*name).or_default() += i64::try_from(*times).unwrap());
        counts
    }

    proptest! {
        #[test]
        fn what_one_side_has_more_often_is_reported_so_often_however_many_passes_it_takes(
            live in proptest::collection::vec((0u8..12, 1u64..4), 0..20),
            shadow in proptest::collection::vec((0u8..12, 1u64..4), 0..20),
            of_pass in 1u64..100,
        ) {
            let mut found: BTreeMap<u8, i64> = BTreeMap::new();
            let mut report = |difference: Difference| {
                let times = i64::try_from(difference.times).unwrap();
                let (shown, times) = match (difference.live, difference.shadow) {
                    (Some(live), None) => (live, times),
                    (None, Some(shadow)) => (shadow, -times),
                    both => panic!("{both:?}"),
                };
                *found.entry(shown[0]).or_default() += times;
            };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (here, there) = (items(&live), items(&shadow));
            runtime.block_on(compare_in_passes("c", &here, &there, of_pass, &mut report)).unwrap();
            let mut expected = count(&live);
            count(&shadow).into_iter().for_each(|(name, times)| *expected.entry(name).or_default() -= times);
            expected.retain(|_, more| *more != 0);
            prop_assert_eq!(found, expected);
        }
    }
}
