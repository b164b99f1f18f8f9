use std::collections::BTreeMap;
use std::time::Instant;

use super::{Process, Processes};

const HARNESS: u32 = 100;

/// Processes by number, parent, seconds of their own and of their children.
fn processes(all: &[(u32, u32, f64, f64)]) -> Processes {
    let process = |&(pid, parent, own_s, children_s): &(u32, u32, f64, f64)| {
        (pid, Process { parent, is_kernel: parent == 2, started: 7, own_s, children_s })
    };
    let by_pid: BTreeMap<_, _> = all.iter().map(process).collect();
    Processes { at: Instant::now(), by_pid }
}

fn foreign(before: &[(u32, u32, f64, f64)], after: &[(u32, u32, f64, f64)]) -> f64 {
    processes(after).foreign_seconds(&processes(before), HARNESS, |pid| pid == 500)
}

#[test]
fn a_line_of_the_kernel_is_read() {
    let stat = "4242 (a (b) c) S 17 4242 4240 0 -1 4194560 9 8 7 6 150 50 30 20 20 0 3 0 98765 1 2";
    let process = Process::parse(stat).expect("a process");
    let wanted =
        Process { parent: 17, is_kernel: false, started: 98_765, own_s: 2.0, children_s: 0.5 };
    assert_eq!(process, wanted);
    let kernel = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 9 0 0 20 0 1 0 1 0 0";
    assert!(Process::parse(kernel).expect("a process").is_kernel);
    let zombie = "7 (nginx) Z 1 7 1 0 -1 4227084 0 0 0 0 50 9 0 0 20 0 1 0 1 0 0";
    assert_eq!(Process::parse(zombie), None);
    assert_eq!(Process::parse("4242 (short) S 17"), None);
    assert_eq!(Process::parse(""), None);
}

#[test]
fn ours_and_the_kernels_do_not_count() {
    let before = [(HARNESS, 50, 1.0, 0.0), (50, 1, 1.0, 0.0), (9, 2, 0.0, 0.0)];
    let after = [
        (HARNESS, 50, 2.0, 3.0),
        (50, 1, 1.0, 0.0),
        (101, HARNESS, 2.0, 0.0),
        (102, 101, 2.0, 0.0),
        (500, 1, 2.0, 0.0),
        (501, 500, 2.0, 0.0),
        (9, 2, 1.0, 0.0),
    ];
    assert!(foreign(&before, &after).abs() < 1e-9);
}

#[test]
fn others_count_and_those_that_they_waited_for() {
    let before = [(200, 1, 1.0, 4.0), (201, 200, 5.0, 0.0), (202, 200, 3.0, 0.0)];
    // 201 went on for a second and ended; another began and ended within 0.25 s.
    let after = [(200, 1, 1.5, 10.25), (202, 200, 3.125, 0.0)];
    assert!((foreign(&before, &after) - (0.5 + 1.25 + 0.125)).abs() < 1e-9);
}

#[test]
fn what_ancestors_inherit_may_be_ours() {
    let before = [(1, 0, 1.0, 50.0), (50, 1, 1.0, 0.0), (HARNESS, 50, 0.0, 0.0)];
    let after = [(1, 0, 1.25, 60.0), (50, 1, 1.25, 8.0), (HARNESS, 50, 0.0, 0.0)];
    assert!((foreign(&before, &after) - 0.5).abs() < 1e-9);
}

#[test]
fn this_test_is_no_stranger_to_itself() {
    let before = Processes::now();
    let begin = Instant::now();
    while begin.elapsed().as_millis() < 60 {
        std::hint::spin_loop();
    }
    let after = Processes::now();
    let own = std::process::id();
    let (then, now) = (&before.by_pid[&own], &after.by_pid[&own]);
    assert!(now.own_s > then.own_s, "its time goes on");
    let others: Vec<u32> = after.by_pid.keys().copied().filter(|pid| *pid != own).collect();
    assert!(after.foreign_seconds(&before, own, |pid| others.contains(&pid)).abs() < 1e-9);
}
