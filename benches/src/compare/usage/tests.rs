use super::{field_kib, machine_seconds};

#[test]
fn idle_disk_and_stolen_time_do_not_count() {
    let text = "cpu  100 20 30 100000 7777 5 6 9999 1 1\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
    assert!((machine_seconds(text).expect("a line") - 1.61).abs() < 1e-9);
    assert_eq!(machine_seconds("intr 1 2 3"), None);
}

#[test]
fn fields_are_found_by_their_whole_name() {
    let text = "VmRSSx:\t1 kB\nVmRSS:\t  1234 kB\n";
    assert_eq!(field_kib(text, "VmRSS"), 1234);
    assert_eq!(field_kib(text, "VmHWM"), 0);
}
