use super::{cpus, field_kib, idle_seconds, steal_seconds};

#[test]
fn idle_disk_and_stolen_time_are_not_work() {
    let text = "cpu  100 20 30 1000 70 5 6 9 1 1\ncpu0 1 1 1 1 1 1 1 1 1 1\ncpu1 1 1 1 1 1 1 1\n";
    assert!((idle_seconds(text).expect("a line") - 10.79).abs() < 1e-9);
    assert_eq!(idle_seconds("intr 1 2 3"), None);
    assert_eq!(cpus(text), 2);
    assert_eq!(steal_seconds(text), Some(0.09));
    assert_eq!(steal_seconds("intr 1 2 3"), None);
}

#[test]
fn fields_are_found_by_their_whole_name() {
    let text = "VmRSSx:\t1 kB\nVmRSS:\t  1234 kB\n";
    assert_eq!(field_kib(text, "VmRSS"), 1234);
    assert_eq!(field_kib(text, "VmHWM"), 0);
}
