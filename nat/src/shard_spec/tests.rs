use super::*;

#[test]
fn slices_cover_a_range_once() {
    for range in [20_000..=29_999, 5..=5, 7..=9, 65_000..=65_535, 0..=65_535] {
        for workers in 1..=16 {
            let mut next = u32::from(*range.start());
            for worker in 0..workers {
                let shard_spec = ShardSpec::new(worker, workers);
                for port in shard_spec.slice(&range) {
                    assert_eq!(u32::from(port), next, "{range:?} {workers}");
                    assert_eq!(shard_spec.slice_of(&range, port), Some(worker), "{range:?} {port}");
                    next += 1;
                }
            }
            assert_eq!(next, u32::from(*range.end()) + 1);
        }
    }
    let shard_spec = ShardSpec::new(1, 2);
    assert_eq!(shard_spec.slice_of(&(100..=199), 99), None);
    assert_eq!(shard_spec.slice_of(&(100..=199), 200), None);
    assert_eq!(shard_spec.slice(&(100..=199)), 150..=199);
}

#[test]
fn the_only_worker_has_all() {
    assert!(ShardSpec::SINGLE.is_single());
    assert_eq!(ShardSpec::SINGLE.slice(&(20_000..=29_999)), 20_000..=29_999);
    assert_eq!(ShardSpec::SINGLE.worker_of(OwnerId(77)), 0);
}
