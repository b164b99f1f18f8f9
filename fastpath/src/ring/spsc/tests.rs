use super::*;

#[cfg(not(loom))]
mod plain {
    use std::collections::VecDeque;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_bounded_queue(capacity in 1usize..9, steps in proptest::collection::vec(any::<Option<u8>>(), 0..200)) {
            let (mut producer, mut consumer) = ring(capacity);
            let mut model = VecDeque::new();
            for step in steps {
                match step {
                    Some(value) if model.len() < capacity.next_power_of_two() => {
                        prop_assert_eq!(producer.push(value), Ok(()));
                        model.push_back(value);
                    }
                    Some(value) => prop_assert_eq!(producer.push(value), Err(value)),
                    None => prop_assert_eq!(consumer.pop(), model.pop_front()),
                }
            }
        }
    }

    #[test]
    fn order_and_number_survive_two_threads() {
        const COUNT: usize = 20_000;
        let (mut producer, mut consumer) = ring(64);
        let writer = thread::spawn(move || {
            for i in 0..COUNT {
                let mut value = Box::new(i);
                while let Err(back) = producer.push(value) {
                    value = back;
                    thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while next < COUNT {
            match consumer.pop() {
                Some(value) => {
                    assert_eq!(*value, next);
                    next += 1;
                }
                None => thread::yield_now(),
            }
        }
        writer.join().expect("the writer does not panic");
        assert_eq!(consumer.pop(), None);
    }

    #[test]
    fn what_is_left_is_dropped_once() {
        let counted = Arc::new(());
        let (mut producer, mut consumer) = ring(4);
        for _ in 0..3 {
            producer.push(Arc::clone(&counted)).expect("there is room");
        }
        drop(consumer.pop());
        drop((producer, consumer));
        assert_eq!(Arc::strong_count(&counted), 1);
    }
}

#[cfg(loom)]
#[test]
fn loom_hands_slots_over() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring::<usize>(2);
        let writer = loom::thread::spawn(move || {
            let mut accepted = 0;
            for i in 0..3 {
                if producer.push(i).is_ok() {
                    accepted += 1;
                } else {
                    break;
                }
            }
            accepted
        });
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.extend(consumer.pop());
        }
        let accepted = writer.join().expect("no panic");
        while let Some(value) = consumer.pop() {
            taken.push(value);
        }
        assert_eq!(taken, (0..accepted).collect::<Vec<_>>());
    });
}
