use proptest::prelude::*;

use super::*;

#[test]
fn the_buffer_used_last_is_used_next() {
    let mut pool = Pool::new(3).expect("memory");
    let first = pool.alloc().expect("a buffer");
    let second = pool.alloc().expect("a buffer");
    let place = pool.pointer(&first);
    pool.release(second);
    pool.release(first);
    let again = pool.alloc().expect("a buffer");
    assert_eq!(pool.pointer(&again), place);
    pool.release(again);
}

#[test]
fn a_shared_buffer_cannot_be_written_and_returns_with_its_last_holder() {
    let mut pool = Pool::new(1).expect("memory");
    let frame = pool.alloc_with(&[7; 60]).expect("a buffer");
    let copy = pool.share(&frame).expect("a holder");
    assert!(pool.bytes_mut(&frame).is_none());
    assert_eq!(pool.bytes(&copy), pool.bytes(&frame));
    pool.release(frame);
    assert_eq!(pool.available(), 0);
    assert!(pool.bytes_mut(&copy).is_some());
    pool.release(copy);
    assert_eq!(pool.available(), 1);
}

#[test]
fn an_empty_pool_says_so_and_counts() {
    let mut pool = Pool::new(1).expect("memory");
    let frame = pool.alloc().expect("a buffer");
    assert!(pool.alloc().is_none());
    assert_eq!(pool.counters().pool_exhausted, 1);
    pool.release(frame);
}

#[test]
fn a_frame_cannot_be_longer_than_its_buffer() {
    let mut pool = Pool::new(1).expect("memory");
    assert!(pool.alloc_with(&vec![0; FRAME_MAX]).is_none());
    let mut frame = pool.alloc_with(&vec![1; FRAME_MAX - VNET_LEN]).expect("it fits");
    frame.set_len(usize::MAX);
    assert_eq!(frame.len(), BUFFER_STRIDE - HEADROOM);
    assert_eq!(pool.bytes(&frame).len(), frame.len());
    pool.release(frame);
}

#[test]
#[should_panic(expected = "frame of another pool")]
fn a_frame_of_another_pool_is_refused() {
    let (mut one, mut other) = (Pool::new(1).expect("memory"), Pool::new(1).expect("memory"));
    let frame = one.alloc().expect("a buffer");
    other.release(frame);
}

#[test]
fn a_frame_grows_into_its_headroom_and_no_further() {
    let mut pool = Pool::new(1).expect("memory");
    let mut frame = pool.alloc_with(&[7; 60]).expect("a buffer");
    let len = frame.len();
    assert!(frame.grow_front(HEADROOM) && !frame.grow_front(1));
    assert_eq!(frame.len(), len + HEADROOM);
    assert_eq!(pool.bytes(&frame)[HEADROOM + VNET_LEN..], [7; 60]);
    assert!(frame.shrink_front(HEADROOM + VNET_LEN));
    assert_eq!(pool.bytes(&frame), [7; 60]);
    assert!(!frame.shrink_front(61) && frame.shrink_front(60) && frame.is_empty());
    pool.release(frame);
}

#[test]
fn a_copy_has_the_same_bytes_in_a_buffer_of_its_own() {
    let mut pool = Pool::new(2).expect("memory");
    let mut frame = pool.alloc_with(&vec![7; FRAME_MAX - VNET_LEN]).expect("a buffer");
    assert!(frame.grow_front(4));
    let copy = pool.copy(&frame).expect("another buffer");
    assert_eq!(pool.bytes(&copy), pool.bytes(&frame));
    pool.bytes_mut(&copy).expect("the sole holder").fill(9);
    assert_eq!(pool.bytes(&frame)[VNET_LEN + 4..], vec![7; FRAME_MAX - VNET_LEN]);
    assert!(pool.copy(&frame).is_none());
    pool.release(copy);
    pool.release(frame);
    assert_eq!(pool.available(), 2);
}

#[test]
fn one_frame_is_written_from_another_unless_somebody_else_holds_it() {
    let mut pool = Pool::new(2).expect("memory");
    let (from, to) = (pool.alloc_with(&[7; 60]), pool.alloc_with(&[9; 80]));
    let (from, to) = (from.expect("a buffer"), to.expect("another"));
    let (source, target) = pool.bytes_of_both(&from, &to).expect("two buffers");
    target[20..].copy_from_slice(source);
    assert_eq!(pool.bytes(&to)[20..], *pool.bytes(&from));
    let alias = pool.share(&to).expect("a holder");
    assert!(pool.bytes_of_both(&from, &to).is_none(), "somebody else reads it");
    assert!(pool.bytes_of_both(&to, &alias).is_none(), "one buffer");
    [from, to, alias].into_iter().for_each(|frame| pool.release(frame));
}

proptest! {
    /// Whatever is taken, shared and given back in whatever order: no buffer is lost, none is
    /// handed out twice, and bytes stay those of their frame.
    #[test]
    fn buffers_are_conserved(steps in proptest::collection::vec((0u8..3, any::<u8>()), 0..120)) {
        const BUFFERS: usize = 8;
        let mut pool = Pool::new(BUFFERS).expect("memory");
        let mut held: Vec<(Frame, u8)> = Vec::new();
        for (step, value) in steps {
            match step {
                0 => if let Some(frame) = pool.alloc_with(&[value; 64]) {
                    held.push((frame, value));
                } else {
                    prop_assert_eq!(pool.available(), 0);
                },
                1 if !held.is_empty() => {
                    let (frame, value) = &held[usize::from(value) % held.len()];
                    let copy = (pool.share(frame).expect("few holders"), *value);
                    held.push(copy);
                }
                2 if !held.is_empty() => {
                    let (frame, _) = held.swap_remove(usize::from(value) % held.len());
                    pool.release(frame);
                }
                _ => {}
            }
            for (frame, value) in &held {
                prop_assert!(pool.bytes(frame)[VNET_LEN..].iter().all(|byte| byte == value));
            }
            let mut distinct: Vec<_> = held.iter().map(|(frame, _)| pool.pointer(frame)).collect();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len() + pool.available(), BUFFERS);
        }
        for (frame, _) in held {
            pool.release(frame);
        }
    }
}
