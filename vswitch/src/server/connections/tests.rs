use super::*;

const LIMITS: Limits = Limits { served: 8, of_peer: 4, spare: 2 };

fn process(id: i32) -> Peer {
    Peer::Process(Some(id))
}

fn admit(connections: &Connections, peer: i32, count: usize) -> Vec<ConnectionGuard> {
    let now = Instant::now();
    (0..count).map(|_| connections.admit(process(peer), now).expect("a place")).collect()
}

fn served(held: &[ConnectionGuard]) -> usize {
    held.iter().filter(|it| it.is_served()).count()
}

#[tokio::test(start_paused = true)]
async fn a_peer_gets_its_part_and_others_are_served_at_once() {
    let connections = Connections::new(LIMITS);
    let mut hog = admit(&connections, 1, 12);
    assert_eq!(served(&hog), LIMITS.of_peer);
    let second = admit(&connections, 2, 12);
    assert_eq!(served(&second), LIMITS.of_peer);
    hog.iter().chain(&second).filter(|it| it.is_served()).for_each(ConnectionGuard::begin_request);
    // All are busy; `down` and `status` have a process each.
    let spare: Vec<_> = (3..6).flat_map(|peer| admit(&connections, peer, 1)).collect();
    assert_eq!(served(&spare), LIMITS.spare);
    // The first that waits comes first, where it may.
    hog.remove(0);
    assert_eq!(served(&hog), LIMITS.of_peer - 1, "the spare ones are above the limit");
    drop(spare);
    assert_eq!(served(&hog), LIMITS.of_peer);
}

#[tokio::test(start_paused = true)]
async fn idle_ones_are_closed_while_others_wait() {
    let connections = Connections::new(LIMITS);
    // Each a process of its own.
    let idle: Vec<_> = (1..=10).flat_map(|peer| admit(&connections, peer, 1)).collect();
    assert_eq!(served(&idle), LIMITS.served + LIMITS.spare);
    idle[0].begin_request();
    let late = &admit(&connections, 99, 1)[0];
    let before = Instant::now();
    let serving = async {
        let closed = async { idle[1].closed().await };
        let (is_served, ()) = tokio::join!(late.served(), async {
            closed.await;
            assert_eq!(idle[1].state(), Some(State::Closed), "the one that is idle longest");
        });
        is_served
    };
    assert!(serving.await);
    assert!(before.elapsed() >= IDLE_MIN && before.elapsed() < 2 * IDLE_MIN);
    assert_eq!(idle[0].state(), Some(State::Busy));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_waits_for_itself_closes_its_own() {
    let connections = Connections::new(LIMITS);
    let other = admit(&connections, 1, 2);
    let own = admit(&connections, 2, LIMITS.of_peer + 1);
    assert!(own[LIMITS.of_peer].served().await);
    assert!(other.iter().all(|it| matches!(it.state(), Some(State::Idle(_)))));
    assert_eq!(own.iter().filter(|it| it.state() == Some(State::Closed)).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn above_all_limits_the_largest_peer_loses() {
    let connections = Connections::new(LIMITS);
    let held_max = LIMITS.served * HELD_PER_CONNECTION;
    let hog = admit(&connections, 1, held_max);
    assert!(connections.admit(process(1), Instant::now()).is_none());
    let other = admit(&connections, 2, 3);
    assert_eq!(served(&other), 3);
    let closed = hog.iter().filter(|it| it.state() == Some(State::Closed)).count();
    assert_eq!(closed, 3);
    assert_eq!(served(&hog), LIMITS.of_peer + closed, "those that wait go first");
    // An end of one that is closed is heard, whether it waited or not.
    assert!(!hog[held_max - 1].served().await);
}
