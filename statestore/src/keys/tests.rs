//! Keys are read back as they were made, sort as they must, and keep their bytes.

use super::*;
use pelton_domain::{CommitNumber, KeyInterval};
use proptest::prelude::*;

fn keys() -> ComputationKeys {
    PipelineKeys::new(&Name::new("flights").unwrap()).computation(3)
}

fn short() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..40)
}

#[test]
fn fences_are_told_from_everything_else() {
    let pipeline = PipelineKeys::new(&Name::new("flights").unwrap());
    let (fence, key) = (keys().fence(KeyPosition(7)), Key::from("k"));
    assert!(is_fence(&fence) && is_fence(&pipeline.leader()));
    for other in [keys().state(&key, b"", b"f", b""), pipeline.catalogue(), pipeline.sequencer_counter()] {
        assert!(!is_fence(&other), "{other:?}");
    }
    assert!(
        !is_fence(STORE_META_KEY) && !is_fence(b"") && !is_fence(b"\x01test/") && !is_fence(b"\x02\x01pffff")
    );
}

#[test]
fn a_range_that_may_hold_a_fence_is_known() {
    let (low, high) = KeyInterval::FULL.split_at(KeyPosition(5)).unwrap();
    let pipeline = PipelineKeys::new(&Name::new("flights").unwrap());
    let key = Key::from("k");
    for without in [
        keys().state_of_interval(low),
        keys().state_of_interval(high),
        keys().state_of_key(&key),
        keys().dedup_buckets(KeyPosition(0), 1, 9),
        keys().outbox_of(KeyPosition(u64::MAX)),
        keys().published_between(&key, 0, u64::MAX),
        pipeline.assignments(3),
    ] {
        assert!(!may_hold_fences(&without), "{without:?}");
    }
    let everything = KeyRange { start: Bytes::new(), end: Bytes::from_static(&[0xff]) };
    for with in
        [keys().fences(), keys().fences_from(KeyPosition(3)), pipeline.range(), all_pipelines(), everything]
    {
        assert!(may_hold_fences(&with), "{with:?}");
    }
    let leader = pipeline.leader();
    assert!(may_hold_fences(&KeyRange { end: [&leader[..], b"\0"].concat().into(), start: leader }));
}

proptest! {
    #[test]
    fn state_keys_round_trip(key in short(), namespace in short(), cell in short(), sub_key in short()) {
        let address = StateAddress {
            key: Key::from(key), namespace: namespace.into(), cell: cell.into(), sub_key: sub_key.into(),
        };
        let encoded = keys().state(&address.key, &address.namespace, &address.cell, &address.sub_key);
        prop_assert_eq!(keys().read_state(&encoded).unwrap(), address.clone());
        prop_assert!(keys().state_of_key(&address.key).contains(&encoded));
        prop_assert!(keys().state_of_cell(&address.key, &address.namespace, &address.cell).contains(&encoded));
        prop_assert!(keys().read_timer(&encoded).is_err());
    }

    #[test]
    fn two_keys_never_share_a_state_range(a in short(), b in short(), cell in short()) {
        prop_assume!(a != b);
        let entry = keys().state(&Key::from(a), &[], &cell, &[]);
        prop_assert!(!keys().state_of_key(&Key::from(b)).contains(&entry));
    }

    #[test]
    fn timer_keys_round_trip(key in short(), namespace in short(), tag in short(), event: bool) {
        let domain = if event { TimeDomain::Event } else { TimeDomain::Processing };
        let timer = TimerAddress { key: Key::from(key), domain, namespace: namespace.into(), tag: tag.into() };
        prop_assert_eq!(keys().read_timer(&keys().timer(&timer)).unwrap(), timer);
    }

    #[test]
    fn numbered_keys_round_trip_and_keep_their_order(key in short(), a: u64, b: u64, part: u16, first: u64) {
        let key = Key::from(key);
        prop_assert_eq!(keys().read_parked(&keys().parked(&key, a)).unwrap(), (key.clone(), a));
        prop_assert_eq!(keys().read_dead_letter(&keys().dead_letter(&key, a)).unwrap(), (key.clone(), a));
        prop_assert_eq!(keys().read_published(&keys().published(&key, a)).unwrap(), (key.clone(), a));
        prop_assert!(!keys().published_between(&key, 0, a).contains(&keys().published(&key, a)));
        prop_assert_eq!(keys().published_between(&key, a, u64::MAX).contains(&keys().published(&key, b)), a <= b && b < u64::MAX);
        prop_assert_eq!(a.cmp(&b), keys().parked(&key, a).cmp(&keys().parked(&key, b)));
        let first = KeyPosition(first);
        let outbox = keys().outbox(first, CommitNumber(a), part);
        prop_assert_eq!(keys().read_outbox(&outbox).unwrap(), (first, CommitNumber(a), part));
        let dedup = keys().dedup(first, b, CommitNumber(a), part);
        prop_assert_eq!(keys().read_dedup(&dedup).unwrap(), (first, b, CommitNumber(a), part));
    }

    #[test]
    fn an_interval_is_one_range_of_each_kind(position: u64, at in 1u64..) {
        let (low, high) = KeyInterval::FULL.split_at(KeyPosition(at)).unwrap();
        let fence = keys().fence(KeyPosition(position));
        prop_assert!(keys().fences().contains(&fence));
        let key = Key::from(position);
        let entry = keys().state(&key, &[], b"c", &[]);
        let inside = low.contains(key.position());
        prop_assert_eq!(keys().state_of_interval(low).contains(&entry), inside);
        prop_assert_eq!(keys().state_of_interval(high).contains(&entry), !inside);
    }

    #[test]
    fn arbitrary_bytes_are_refused_not_read(bytes: Vec<u8>) {
        let bytes = Bytes::from(bytes);
        let _ = keys().read_state(&bytes);
        let _ = keys().read_timer(&bytes);
        let _ = keys().read_parked(&bytes);
        let _ = keys().read_dedup(&bytes);
    }
}

#[test]
fn pipelines_and_computations_never_mix() {
    let name = |n| Name::new(n).unwrap();
    let (a, ab) = (PipelineKeys::new(&name("a")), PipelineKeys::new(&name("ab")));
    assert!(!a.range().contains(&ab.catalogue()));
    assert!(a.range().contains(&a.computation(2).fence(KeyPosition(0))));
    assert!(!a.computation(1).fences().contains(&a.computation(2).fence(KeyPosition(0))));
    assert!(!a.range().contains(STORE_META_KEY));
    assert!(all_pipelines().contains(&a.catalogue()) && !all_pipelines().contains(STORE_META_KEY));
    assert_eq!(pipeline_of(&ab.computation(1).fence(KeyPosition(3))), Ok(name("ab")));
    assert!(pipeline_of(STORE_META_KEY).is_err());
}

#[test]
fn the_layout_is_fixed() {
    // Bytes of layout version 1. If this fails, stores written before can no longer be read.
    let encoded = keys().state(&Key::from("k"), b"", b"count", b"");
    let position = Key::from("k").position().0.to_be_bytes();
    let mut expected = vec![1, 7];
    expected.extend_from_slice(b"flights\0\0\0\x03s");
    expected.extend_from_slice(&position);
    expected.extend_from_slice(b"\0\x01k\0\x05count");
    assert_eq!(encoded, expected);
}
