//! The idle policy and the scheduling class, on a host that is busy.

use std::time::Duration;

use testkit::{Process, wait_for};
use vswitch_api::status::IdleState;

use crate::harness::Host;

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[test]
fn workers_do_not_spin_beside_those_who_want_the_processors() {
    let host = Host::with_switch();
    let (a, b) = (host.container("a"), host.container("b"));
    let hog = |_| host.netns().spawn(&["sh", "-c", "while :; do :; done"]);
    let _hogs: Vec<Process> = (0..processors()).map(hog).collect();
    let _traffic = a.spawn(&["ping", "-q", "-i", "0.002", &b.v4().to_string()]);
    let mut reason = String::new();
    wait_for("workers that sleep", Duration::from_secs(20), || {
        let status = host.status();
        reason = status.idle_reason;
        status.idle_state == IdleState::Sleeping
    });
    if processors() > 1 {
        let end = format!("of {} processors", processors());
        assert!(reason.starts_with("other processes leave only"), "{reason}");
        assert!(reason.ends_with(&end), "{reason}");
    }
    a.ping(b.v4());
}

#[test]
fn an_idle_policy_that_was_asked_for_stays() {
    for (policy, state) in [("sleep", IdleState::Sleeping), ("spin", IdleState::Spinning)] {
        let host = Host::with_switch_args(&["--idle", policy]);
        let (a, b) = (host.container("a"), host.container("b"));
        a.ping(b.v4());
        let status = host.status();
        assert_eq!(status.idle_state, state);
        assert_eq!(status.idle_reason, format!("asked for by --idle {policy}"));
    }
}

#[test]
fn real_time_workers_do_not_spin_unless_told_to() {
    let mut host = Host::new();
    host.up(&["--uplink", "none", "--scheduling", "realtime"]);
    let status = host.status();
    assert_eq!(status.idle_state, IdleState::Sleeping);
    assert!(status.idle_reason.contains("real-time"), "{}", status.idle_reason);
    host.down();
    host.up(&["--uplink", "none", "--scheduling", "realtime", "--idle", "spin"]);
    assert_eq!(host.status().idle_state, IdleState::Spinning);
}

#[test]
fn the_scheduling_class_is_that_of_the_worker() {
    // Numbers of `sched(7)`: SCHED_OTHER, SCHED_BATCH.
    for (class, number) in [("normal", 0), ("batch", 3)] {
        let host = Host::with_switch_args(&["--scheduling", class]);
        let tasks = format!("/proc/{}/task", host.daemon_pid());
        let classes = std::fs::read_dir(tasks).expect("tasks of the daemon").filter_map(|task| {
            let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
            let (name, fields) = stat.split_once("(vswitch-w")?.1.split_once(") ")?;
            // Field 41 of `proc_pid_stat(5)`; the state after the name is the third.
            Some((name.to_owned(), fields.split(' ').nth(38)?.parse::<i32>().ok()?))
        });
        let classes: Vec<(String, i32)> = classes.collect();
        assert!(!classes.is_empty(), "a thread a worker");
        assert!(classes.iter().all(|(_, found)| *found == number), "{class}: {classes:?}");
    }
}
