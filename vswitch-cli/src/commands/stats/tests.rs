use vswitch_api::stats::PortTraffic;

use super::*;

fn port(name: &str, rx_frames: u64, rx_bytes: u64) -> PortStats {
    let traffic = PortTraffic { rx_frames, rx_bytes, ..PortTraffic::default() };
    PortStats { name: name.into(), traffic, ..PortStats::default() }
}

#[test]
fn ports_workers_and_reasons() {
    let stats = Stats {
        ports: vec![port("br0", 10, 1_000), port("a", 20_000, 1 << 20)],
        workers: vec![WorkerStats {
            received: 20_010,
            sent: 20_000,
            in_flight: 10,
            ..WorkerStats::default()
        }],
        drops: [("port_down".to_owned(), 7)].into(),
    };
    assert_eq!(
        render(&stats),
        "\
PORT  RX FRAMES      RX  TX FRAMES   TX  DROPS
br0          10  1000 B          0  0 B      0
a           20k   1 MiB          0  0 B      0

COUNTER    WORKER 0
received        20k
sent            20k
in_flight        10

DROP REASON  FRAMES
port_down         7
"
    );
}

#[test]
fn rates_are_per_second() {
    let before =
        Stats { ports: vec![port("a", 100, 1_000), port("b", 900, 9_000)], ..Stats::default() };
    let now = Stats {
        ports: vec![port("a", 300, 251_000), port("b", 10, 80), port("new", 4, 40)],
        ..Stats::default()
    };
    assert_eq!(
        render_rates(&before, &now, 2),
        "\
PORT  RX FRAMES/S       RX  TX FRAMES/S     TX  DROPS/S
a             100   1 Mb/s            0  0 b/s        0
b               5  320 b/s            0  0 b/s        0
new             2  160 b/s            0  0 b/s        0

"
    );
}

#[test]
fn several_workers_hand_over() {
    let worker = |worker, handed_off, handoff_received| WorkerStats {
        worker,
        handed_off,
        handoff_received,
        ..WorkerStats::default()
    };
    let stats =
        Stats { workers: vec![worker(0, 2_000, 3), worker(1, 3, 2_000)], ..Stats::default() };
    let shown = render(&stats);
    let handed = "\
COUNTER           WORKER 0  WORKER 1
handed_off            2000         3
handoff_received         3      2000
";
    assert!(shown.contains(handed), "{shown}");
}
