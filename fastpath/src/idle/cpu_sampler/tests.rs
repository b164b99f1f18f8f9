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
    assert_eq!(idle_ticks(STAT, &[0, 1]), Some(idle0 + idle1));
    assert_eq!(idle_ticks(STAT, &[1]), Some(idle1));
}

#[test]
fn a_processor_that_is_missing_is_an_error() {
    assert_eq!(idle_ticks(STAT, &[1, 2]), None);
    assert_eq!(idle_ticks(STAT, &[]), None);
    assert_eq!(idle_ticks("", &[0]), None);
    assert_eq!(idle_ticks("cpu0 1 2 3", &[0]), None, "a file of another kind, or cut");
    assert!(CpuSampler::new(vec![0, 4_711]).is_err());
}

#[test]
fn spare_is_idle_or_ours() {
    let clocks = |at_ms: u64, idle_ms, own_ms| Clocks {
        at: Nanos(at_ms * 1_000_000),
        idle: Duration::from_millis(idle_ms),
        own: Duration::from_millis(own_ms),
    };
    let near = |spare: f64, wanted: f64| (spare - wanted).abs() < 1e-9;
    assert!(near(spare(clocks(0, 0, 0), clocks(200, 100, 200)), 1.5));
    assert!(near(spare(clocks(0, 0, 0), clocks(200, 0, 80)), 0.4));
    assert!(near(spare(clocks(7, 0, 0), clocks(7, 0, 0)), 0.0), "no time has passed");
    assert!(near(spare(clocks(0, 50, 0), clocks(200, 40, 0)), 0.0), "idle time may step back");
}

#[test]
fn processors_of_this_machine_can_be_sampled() {
    let mut sampler = CpuSampler::new(vec![0, 0]).expect("processor 0 is there");
    std::thread::sleep(Duration::from_millis(50));
    let sample = sampler.sample().expect("/proc/stat");
    assert_eq!(sample.processors, 1);
    // Other tests of this process count as ours, on whichever processor.
    assert!((0.0..=1.0).contains(&sample.spare), "{sample:?}");
    assert!(sampler.text.len() <= PROC_STAT_MAX + 16 * 1024);
}
