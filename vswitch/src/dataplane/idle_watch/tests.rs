//! Control's side with a scripted sampler and a clock that stands still until all tasks wait.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use fastpath::limits::HOLD_SAMPLES_MIN;

use super::*;

/// A watch whose samples are those of `spare`, in hundredths of a processor; none: an error.
struct Rig {
    shared: Arc<SpinControl>,
    traffic: Arc<Notify>,
    report: Arc<Mutex<IdleReport>>,
    spare: Arc<AtomicU32>,
    samples: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

const BROKEN: u32 = u32::MAX;

impl Rig {
    fn new() -> Self {
        let shared = Arc::new(SpinControl::new(SPIN_ROUNDS));
        let governor = Governor::new(1);
        let reason = governor.verdict().to_string();
        let report = Arc::new(Mutex::new(IdleReport { spins: true, reason }));
        let (spare, samples) = (Arc::new(AtomicU32::new(150)), Arc::new(AtomicUsize::new(0)));
        let of = (Arc::clone(&spare), Arc::clone(&samples));
        let open = move || {
            let (spare, samples) = of.clone();
            Ok(move || {
                samples.fetch_add(1, Ordering::Relaxed);
                match spare.load(Ordering::Relaxed) {
                    BROKEN => Err(io::Error::other("no such file")),
                    spare => Ok(Sample { spare: f64::from(spare) / 100.0, processors: 2 }),
                }
            })
        };
        let traffic = Arc::new(Notify::new());
        let watch =
            Watch { shared: Arc::clone(&shared), governor, report: Arc::clone(&report), open };
        let task = tokio::spawn(watch.run(Arc::clone(&traffic)));
        Self { shared, traffic, report, spare, samples, task }
    }

    /// Traffic for so long, on a machine on which others leave so much.
    async fn busy(&self, time: Duration, spare: u32) {
        self.spare.store(spare, Ordering::Relaxed);
        let end = Instant::now() + time;
        while Instant::now() < end {
            if self.shared.mark_busy() {
                self.traffic.notify_one();
            }
            sleep(SAMPLE_EVERY / 10).await;
        }
    }

    fn spins(&self) -> bool {
        let spins = self.report.lock().unwrap().spins;
        assert_eq!(self.shared.spin_rounds(), spin_rounds(spins));
        spins
    }

    fn reason(&self) -> String {
        self.report.lock().unwrap().reason.clone()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn without_traffic_no_samples_are_taken() {
    let rig = Rig::new();
    sleep(3_600 * SECOND).await;
    assert_eq!(rig.samples.load(Ordering::Relaxed), 0);
    rig.busy(SECOND, 150).await;
    sleep(3_600 * SECOND).await;
    let samples = rig.samples.load(Ordering::Relaxed);
    assert!(samples < 20, "{samples} samples for a second of traffic");
    assert_eq!(rig.reason(), "other processes leave 1.5 of 2 processors, at the last traffic");
}

#[tokio::test(start_paused = true)]
async fn busy_neighbours_end_spinning_and_their_end_begins_it() {
    let rig = Rig::new();
    rig.busy(SECOND, 45).await;
    assert!(!rig.spins());
    assert!(rig.reason().starts_with("other processes leave only 0."), "{}", rig.reason());
    rig.busy(SAMPLE_EVERY * (HOLD_SAMPLES_MIN + 3), 150).await;
    assert!(rig.spins(), "{}", rig.reason());
}

#[tokio::test(start_paused = true)]
async fn short_bursts_on_an_idle_host_do_not_stay_asleep() {
    let rig = Rig::new();
    rig.busy(60 * SECOND, 45).await;
    assert!(!rig.spins());
    for _ in 0..3 {
        sleep(10 * SECOND).await;
        rig.busy(SECOND * 3 / 10, 150).await;
    }
    sleep(SAMPLE_EVERY * 2).await;
    assert!(rig.spins(), "{}", rig.reason());
}

#[tokio::test(start_paused = true)]
async fn a_failed_sample_puts_workers_to_sleep_until_the_next_traffic() {
    let rig = Rig::new();
    rig.busy(SECOND, BROKEN).await;
    assert!(!rig.spins());
    assert_eq!(rig.reason(), "processor time is unknown: no such file");
    sleep(10 * SECOND).await;
    rig.busy(SECOND, 150).await;
    assert!(rig.spins(), "{}", rig.reason());
}
