use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use vswitch_api::stats::CutThroughCounters;

use super::*;
use crate::datapath::PortCounters;
use crate::limits::{self, Counted, Refusals};

fn port(name: &str) -> PortStats {
    let traffic = PortTraffic { rx_frames: 1, rx_bytes: 60, tx_frames: 2, tx_bytes: 120 };
    let drops_by_reason = BTreeMap::new();
    PortStats { name: name.into(), network: "br0".into(), traffic, drops: 3, drops_by_reason }
}

fn scrape(ports: Vec<PortStats>) -> Scrape {
    let stats = Stats {
        ports,
        workers: vec![WorkerStats { received: 9, ..WorkerStats::default() }],
        drops: [("spoofed-mac".to_owned(), 3)].into(),
        dns: DnsCounters { queries: 4, ..DnsCounters::default() },
        cut_through: CutThroughCounters::default(),
    };
    let network =
        NetworkGauges { name: "br0".into(), ports: 1, fdb_entries: 2, fdb_entries_max: 3 };
    let uplink = UplinkStatus {
        name: "eth0".into(),
        mode: "user-space".into(),
        state: UplinkState::Up,
        reason: None,
        device: Some("eth0".into()),
        mtu: Some(1500),
        ipv4: Vec::new(),
        ipv6: Vec::new(),
        snat_ports: "20000-29999".into(),
        publications: 4,
        publications_pending: 5,
        connections: 6,
        connections_sharing: 0,
    };
    let sums = (WorkerStats::default(), PortCounters::default());
    Scrape {
        backend: "epoll".into(),
        started_s: 1_700_000_000,
        restored: 2,
        faults: 1,
        networks: vec![network],
        uplinks: vec![("br0.uplink".into(), uplink)],
        publications: [4, 5],
        peers: vec![Peer {
            address: "192.0.2.2:4789".parse().unwrap(),
            node: None,
            networks: vec!["blue".into()],
            mtu: 1450,
            learning: true,
            traffic: VtepTraffic { rx_frames: 7, ..VtepTraffic::default() },
        }],
        registry: Some(RegistryStatus {
            url: "etcd://192.0.2.9:2379/vswitch".into(),
            node: "n1".into(),
            connected: true,
            problem: None,
            endpoint: None,
            revision: 7,
            lag_ms: 25,
            lease: None,
            queued: 1,
            grace_s: None,
            doubted: 0,
            networks: 2,
            nodes: 3,
            endpoints: 4,
            own_endpoints: 1,
            own_blocks: 1,
            faults: vec!["v1/vnis/9: not JSON".into(); 5],
        }),
        stats,
        limits: limits::list(&Counted {
            workers: &sums.0,
            ports: &sums.1,
            dns: &DnsCounters::default(),
            cut_through: &CutThroughCounters::default(),
            refusals: &Refusals::default(),
        }),
    }
}

/// `(name, type, labels, help)` of each family, in their order.
fn families(text: &str) -> Vec<(String, String, String, String)> {
    let mut families: Vec<(String, String, String, String)> = Vec::new();
    for line in text.lines() {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => {
                families.push((name.into(), String::new(), String::new(), help.into()));
            }
            ["#", "TYPE", name, kind] => {
                let family = families.last_mut().unwrap();
                assert_eq!(family.0, name);
                kind.clone_into(&mut family.1);
            }
            _ => {
                let family = families.last_mut().unwrap();
                let (name, rest) = line.split_once(['{', ' ']).unwrap();
                assert_eq!(family.0, name, "a sample outside its family");
                let labels = rest.split_once("} ").map_or("", |(labels, _)| labels);
                let names = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0));
                family.2 = names.collect::<Vec<_>>().join(", ");
            }
        }
    }
    families
}

fn docs(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file)
}

const INTRODUCTION: &str = "\
# Metrics

The daemon answers `GET /metrics` on its API socket with Prometheus' text format 0.0.4. With
`vswitch up --metrics PORT` it answers on TCP port `PORT` of loopback as well; `ADDR:PORT` chooses
another address. Everybody who reaches that address can read the metrics: there is no
authentication, and only `GET /metrics` is answered.

```
curl --unix-socket /run/vswitch/vswitch.sock http://localhost/metrics
curl http://127.0.0.1:9101/metrics
```

Counters begin at zero when the daemon starts; a port's counters begin when it is attached.
Directions are the switch's: it receives what a container sends. `docs/monitoring/` has a scrape
configuration, alert rules and a dashboard.

This page is made from the tables in the code; `UPDATE=1 cargo test -p vswitch metrics` rewrites it.
";

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page += "\n## Families\n\n| name | type | labels | meaning |\n|---|---|---|---|\n";
    for (name, kind, labels, help) in families(&scrape(vec![port("a")]).render()) {
        let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {help} |");
    }
    page +=
        "\n## Keys of `vswitch stats`\n\nThe same counters in the API and on the command line.\n";
    page += "\n| key | metric |\n|---|---|\n";
    for metric in PortTraffic::METRICS.iter().chain(WorkerStats::METRICS) {
        let _ = writeln!(page, "| `{}` | `{}` |", metric.field, metric.name);
    }
    page +=
        "\n## Drop reasons\n\nValues of the label `reason`.\n\n| reason | meaning |\n|---|---|\n";
    for reason in DropReason::ALL {
        let _ = writeln!(page, "| `{}` | {} |", reason.name(), reason.help());
    }
    page += "\n## Limits\n\nValues of the label `limit`.\n\n";
    page += "| limit | component | default | hits are counted | when exceeded |\n|---|---|---|---|---|\n";
    for limit in scrape(Vec::new()).limits {
        let hits = if limit.hits.is_some() { "yes" } else { "no" };
        let Limit { name, component, value, unit, on_exceed, .. } = limit;
        let _ =
            writeln!(page, "| `{name}` | {component} | {value} {unit} | {hits} | {on_exceed} |");
    }
    page
}

/// The page is also the golden list of names: a metric that is renamed fails here.
#[test]
fn the_page_is_made_from_the_tables() {
    let (path, page) = (docs("metrics.md"), page());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    for (written, made) in written.lines().zip(page.lines()) {
        assert_eq!(written, made, "docs/metrics.md is stale: run with UPDATE=1");
    }
    assert_eq!(written.len(), page.len());
}

#[test]
fn families_have_samples_and_conventional_names() {
    let families = families(&scrape(vec![port("a"), port("b")]).render());
    let names: BTreeSet<_> = families.iter().map(|family| &family.0).collect();
    assert_eq!(names.len(), families.len(), "a family appears twice");
    for (name, kind, _, help) in &families {
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        assert!(name.starts_with("vswitch_") && help.ends_with('.'), "{name}: {help}");
    }
}

#[test]
fn samples_carry_labels_and_values() {
    let text = scrape(vec![port("a\"b\\")]).render();
    let version = env!("CARGO_PKG_VERSION");
    for line in [
        &*format!("vswitch_build_info{{version=\"{version}\",backend=\"epoll\"}} 1"),
        "vswitch_start_time_seconds 1700000000",
        "vswitch_network_fdb_entries{network=\"br0\"} 2",
        "vswitch_uplink_up{uplink=\"br0.uplink\",device=\"eth0\"} 1",
        "vswitch_publications_pending 5",
        r#"vswitch_port_receive_bytes_total{network="br0",port="a\"b\\"} 60"#,
        r#"vswitch_port_dropped_frames_total{network="br0",port="a\"b\\"} 3"#,
        "vswitch_vtep_mtu_bytes{peer=\"192.0.2.2:4789\"} 1450",
        "vswitch_vtep_receive_frames_total{peer=\"192.0.2.2:4789\"} 7",
        "vswitch_registry_connected 1",
        "vswitch_registry_nodes 3",
        "vswitch_registry_faults 5",
        "vswitch_registry_lag_seconds 0.025",
        "vswitch_worker_received_frames_total{worker=\"0\"} 9",
        "vswitch_dropped_frames_total{reason=\"spoofed-mac\"} 3",
        "vswitch_dropped_frames_total{reason=\"tx-error\"} 0",
        "vswitch_limit{component=\"port\",limit=\"ports\",unit=\"ports\"} 8192",
        "vswitch_limit_hits_total{component=\"port\",limit=\"ports\"} 0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\n{text}");
    }
}

/// Words of a text that look like a metric.
fn mentioned(text: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_word(c));
    words.filter(|word| word.starts_with("vswitch_")).map(str::to_owned).collect()
}

#[test]
fn dashboard_and_alerts_use_metrics_that_exist() {
    let text = scrape(vec![port("a")]).render();
    let known: BTreeSet<_> = families(&text).into_iter().map(|family| family.0).collect();
    for (file, fewest) in [("monitoring/dashboard.json", 10), ("monitoring/alerts.yml", 6)] {
        let text = std::fs::read_to_string(docs(file)).unwrap();
        let used = mentioned(&text);
        assert!(used.len() >= fewest, "{file}: {used:?}");
        assert!(used.is_subset(&known), "{file}: {:?}", used.difference(&known));
    }
    let dashboard = std::fs::read_to_string(docs("monitoring/dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let ids: BTreeSet<_> =
        dashboard["panels"].as_array().unwrap().iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), dashboard["panels"].as_array().unwrap().len(), "ids are unique");
}

#[test]
fn a_thousand_ports_are_one_text() {
    let scrape = scrape((0..1000).map(|n| port(&format!("container-{n}"))).collect());
    #[expect(clippy::disallowed_methods, reason = "a figure to print")]
    let started = Instant::now();
    let text = scrape.render();
    println!("1,000 ports: {} bytes in {:?}", text.len(), started.elapsed());
    assert_eq!(text.matches("vswitch_port_receive_bytes_total{").count(), 1000);
    assert!(text.len() < 1 << 20, "{}", text.len());
}
