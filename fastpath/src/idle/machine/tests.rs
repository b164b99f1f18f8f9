use super::*;

/// Recorded on two processors, one of them taken by a loop.
const STAT: &str = "\
cpu  105210 1021 44231 1480432 3021 0 2150 17 0 0
cpu0 52105 512 22100 740216 1510 0 1075 9 0 0
cpu1 53105 509 22131 740216 1511 0 1075 8 0 0
intr 8215000 0 0 0
ctxt 15200000
btime 1764345600
cpus_are_not_counted_here 1 2 3 4 5 6
";

#[test]
fn idle_and_waiting_for_disks_is_idle() {
    let (idle0, idle1) = (740_216 + 1_510, 740_216 + 1_511);
    assert_eq!(idle_ticks(STAT, &[0, 1]), Some((idle0 + idle1, 2)));
    assert_eq!(idle_ticks(STAT, &[1]), Some((idle1, 1)));
    assert_eq!(idle_ticks(STAT, &[1, 2]), Some((idle1, 1)), "processor 2 is unplugged");
}

#[test]
fn no_processor_is_an_error() {
    assert_eq!(idle_ticks(STAT, &[2]), None);
    assert_eq!(idle_ticks("", &[0]), None);
    assert_eq!(idle_ticks("cpu0 1 2 3", &[0]), None, "a file of another kind");
    assert!(Machine::new(vec![4_711]).is_err());
}

#[test]
fn spare_is_idle_or_ours() {
    let look = |at_ms: u64, idle_ms, own_ms| Look {
        at: Nanos(at_ms * 1_000_000),
        idle: Duration::from_millis(idle_ms),
        own: Duration::from_millis(own_ms),
    };
    let near = |spare: f64, wanted: f64| (spare - wanted).abs() < 1e-9;
    assert!(near(spare(look(0, 0, 0), look(200, 100, 200)), 1.5));
    assert!(near(spare(look(0, 0, 0), look(200, 0, 80)), 0.4));
    assert!(near(spare(look(7, 0, 0), look(7, 0, 0)), 0.0), "no time has passed");
    assert!(near(spare(look(0, 50, 0), look(200, 40, 0)), 0.0), "idle time of a VM may step back");
}

#[test]
fn this_machine_can_be_looked_at() {
    let mut machine = Machine::new(vec![0, 0]).expect("processor 0 is there");
    std::thread::sleep(Duration::from_millis(50));
    let sample = machine.look().expect("/proc/stat");
    assert_eq!(sample.processors, 1);
    // Tests of this process that run meanwhile count as ours.
    assert!(sample.spare >= 0.0);
}
