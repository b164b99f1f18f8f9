use vswitch_api::stats::{CutThroughCounters, PortTraffic};

use super::*;
use crate::output::painted;

fn view(name: Option<&str>) -> View {
    let plan = ListArgs::default().plan(crate::output::Format::Table).unwrap();
    View { name: name.map(str::to_owned), plan }
}

fn render(stats: Stats) -> String {
    let view = view(None);
    view.render(&view.select(stats))
}

fn port(name: &str, rx_frames: u64, rx_bytes: u64) -> PortStats {
    let traffic = PortTraffic { rx_frames, rx_bytes, ..PortTraffic::default() };
    PortStats { name: name.into(), network: "br0".into(), traffic, ..PortStats::default() }
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
        cut_through: CutThroughCounters { connections: 3, bytes: 20_000, ..Default::default() },
        ..Stats::default()
    };
    assert_eq!(
        render(stats),
        "\
PORT  RX FRAMES      RX  TX FRAMES   TX  DROPS
br0          10  1000 B          0  0 B      0
a           20k   1 MiB          0  0 B      0

COUNTER    WORKER 0
received        20k
sent            20k
in_flight        10

CUT-THROUGH  COUNT
connections      3
bytes          20k

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
PORT  RX FRAMES/S         RX  TX FRAMES/S       TX  DROPS/S
a             100   1 Mbit/s            0  0 bit/s        0
b               5  320 bit/s            0  0 bit/s        0
new             2  160 bit/s            0  0 bit/s        0

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
    let shown = render(stats);
    let handed = "\
COUNTER           WORKER 0  WORKER 1
handed_off            2000         3
handoff_received         3      2000
";
    assert!(shown.contains(handed), "{shown}");
}

#[test]
fn one_port_has_its_drops_by_reason() {
    let mut web = port("web", 10, 1_000);
    web.drops = 3;
    web.drops_by_reason = [("malformed".to_owned(), 3)].into();
    let stats = Stats {
        ports: vec![port("br0", 1, 1), port("c10", 1, 1), web],
        drops: [("other".to_owned(), 9)].into(),
        ..Stats::default()
    };
    let view = view(Some("web"));
    let shown = painted(&view.render(&view.select(stats)), false);
    assert_eq!(
        shown,
        "\
PORT  RX FRAMES      RX  TX FRAMES   TX  DROPS
web          10  1000 B          0  0 B      3

DROP REASON  FRAMES
malformed         3
"
    );
}

#[test]
fn ports_are_in_natural_order_after_the_hosts() {
    let ports = ["c10", "c2", "br0", "a"].map(|name| port(name, 0, 0)).to_vec();
    let plan = ListArgs::default().plan::<PortStats>(crate::output::Format::Table).unwrap();
    let names: Vec<String> = plan.select(ports).into_iter().map(|port| port.name).collect();
    assert_eq!(names, ["br0", "a", "c2", "c10"]);
}

/// A container on several networks has a row for each, and each row counts for itself.
#[test]
fn ports_of_one_name_are_told_apart() {
    let on = |network: &str, rx_frames, drops| {
        let drops_by_reason = [("storm".to_owned(), drops)].into();
        let network = network.to_owned();
        PortStats { network, drops, drops_by_reason, ..port("web", rx_frames, 0) }
    };
    let stats = |blue, br0| Stats {
        ports: vec![on("blue", blue, 2), on("br0", br0, 3), port("c2", 0, 0)],
        ..Stats::default()
    };
    let rates = render_rates(&stats(10, 1_000), &stats(14, 1_600), 2);
    let rows: Vec<Vec<&str>> =
        rates.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(rows[1..4], [vec!["web@blue", "2"], vec!["web@br0", "300"], vec!["c2", "0"]]);
    let both = view(Some("web"));
    let shown = painted(&both.render(&both.select(stats(10, 1_000))), false);
    assert!(shown.contains("web@blue") && shown.contains("storm             5"), "{shown}");
    let one = view(Some("web@br0"));
    let shown = painted(&one.render(&one.select(stats(10, 1_000))), false);
    assert!(shown.contains("\nweb  ") && shown.contains("storm             3"), "{shown}");
}
