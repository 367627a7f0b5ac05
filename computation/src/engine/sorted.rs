//! A sorted map that is a vector while it is small: most keys have one or two state entries, and a B-tree
//! node for each would take ten times their memory.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Above this many entries it becomes a B-tree.
const SMALL_MAX: usize = 24;

#[derive(Clone, Debug)]
pub(crate) enum SortedMap<K, V> {
    Small(Vec<(K, V)>),
    Large(BTreeMap<K, V>),
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::Small(entries) => {
                let at = entries.binary_search_by(|(k, _)| k.cmp(key)).ok()?;
                entries.get(at).map(|(_, value)| value)
            }
            Self::Large(tree) => tree.get(key),
        }
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self {
            Self::Small(entries) => {
                let at = entries.binary_search_by(|(k, _)| k.cmp(key)).ok()?;
                entries.get_mut(at).map(|(_, value)| value)
            }
            Self::Large(tree) => tree.get_mut(key),
        }
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self {
            Self::Small(entries) => match entries.binary_search_by(|(k, _)| k.cmp(&key)) {
                Ok(at) => entries.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
                Err(at) if entries.len() < SMALL_MAX => {
                    entries.insert(at, (key, value));
                    None
                }
                Err(_) => {
                    let mut tree: BTreeMap<K, V> = std::mem::take(entries).into_iter().collect();
                    tree.insert(key, value);
                    *self = Self::Large(tree);
                    None
                }
            },
            Self::Large(tree) => tree.insert(key, value),
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        match self {
            Self::Small(entries) => {
                let at = entries.binary_search_by(|(k, _)| k.cmp(key)).ok()?;
                Some(entries.remove(at).1)
            }
            Self::Large(tree) => tree.remove(key),
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Small(entries) => entries.len(),
            Self::Large(tree) => tree.len(),
        }
    }

    /// The entries from `start`, in order.
    pub(crate) fn from<'a>(&'a self, start: Bound<&K>) -> Box<dyn Iterator<Item = (&'a K, &'a V)> + Send + 'a>
    where
        K: Sync + Send,
        V: Sync + Send,
    {
        match self {
            Self::Small(entries) => {
                let at = entries.partition_point(|(k, _)| match start {
                    Bound::Included(from) => k < from,
                    Bound::Excluded(from) => k <= from,
                    Bound::Unbounded => false,
                });
                Box::new(entries.iter().skip(at).map(|(k, v)| (k, v)))
            }
            Self::Large(tree) => Box::new(tree.range((start, Bound::Unbounded))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_behaves_as_a_btree_map(ops in proptest::collection::vec((any::<bool>(), 0u8..60, any::<u16>()), 0..300)) {
            let (mut map, mut model) = (SortedMap::default(), BTreeMap::new());
            for (insert, key, value) in ops {
                if insert {
                    prop_assert_eq!(map.insert(key, value), model.insert(key, value));
                } else {
                    prop_assert_eq!(map.remove(&key), model.remove(&key));
                }
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(map.len(), model.len());
                let after: Vec<_> = map.from(Bound::Excluded(&key)).collect();
                prop_assert_eq!(after, model.range((Bound::Excluded(key), Bound::Unbounded)).collect::<Vec<_>>());
            }
        }
    }
}
