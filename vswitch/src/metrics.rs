//! Counters and gauges as Prometheus text: everything that `GET /metrics` answers.
//!
//! Counters of ports and workers come from the table in [`vswitch_counters`], drops from
//! [`DropReason`], limits from [`crate::limits`]; the other families stand here. `docs/metrics.md` is
//! made from this text, and a test compares them.

use vswitch_api::limits::Limit;
use vswitch_api::overlay::{Peer, VtepTraffic};
use vswitch_api::registry::RegistryStatus;
use vswitch_api::stats::{DnsCounters, PortStats, PortTraffic, Stats, WorkerStats};
use vswitch_api::status::{UplinkState, UplinkStatus};
use vswitch_counters::{Exposition, Kind, Metric};

use crate::datapath::DropReason;

#[cfg(test)]
mod tests;

/// A network as the metrics show it.
#[derive(Debug)]
pub(crate) struct NetworkGauges {
    pub(crate) name: String,
    pub(crate) ports: u64,
    pub(crate) fdb_entries: u64,
    pub(crate) fdb_entries_max: u64,
}

/// All that one scrape reads.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) backend: String,
    /// Seconds since 1970.
    pub(crate) started_s: u64,
    /// Parts on the host that were restored.
    pub(crate) restored: u64,
    /// Attachments that are out of order.
    pub(crate) faults: u64,
    pub(crate) networks: Vec<NetworkGauges>,
    /// Name and state of each uplink.
    pub(crate) uplinks: Vec<(String, UplinkStatus)>,
    /// Published ports: open, and pending.
    pub(crate) publications: [u64; 2],
    /// VTEPs of overlay networks.
    pub(crate) peers: Vec<Peer>,
    /// Registry of overlay networks; none without `--registry`.
    pub(crate) registry: Option<RegistryStatus>,
    pub(crate) stats: Stats,
    pub(crate) limits: Vec<Limit>,
}

impl Scrape {
    /// The text.
    pub(crate) fn render(&self) -> String {
        let mut text = Exposition::default();
        self.daemon(&mut text);
        self.networks(&mut text);
        self.uplinks(&mut text);
        self.ports(&mut text);
        self.peers(&mut text);
        self.registry(&mut text);
        self.workers(&mut text);
        self.drops(&mut text);
        self.dns(&mut text);
        self.cut_through(&mut text);
        self.limits(&mut text);
        text.finish()
    }

    fn daemon(&self, text: &mut Exposition) {
        let name = "vswitch_build_info";
        text.family(name, Kind::Gauge, "Version and packet I/O of the daemon; always 1.");
        let labels = [("version", env!("CARGO_PKG_VERSION")), ("backend", &self.backend)];
        text.sample(name, &labels, 1);
        let name = "vswitch_start_time_seconds";
        text.family(name, Kind::Gauge, "Start of the daemon, in seconds since 1970.");
        text.sample(name, &[], self.started_s);
        let name = "vswitch_restored_total";
        let help =
            "Parts of the switch on the host that other programs removed, and that were restored.";
        text.family(name, Kind::Counter, help);
        text.sample(name, &[], self.restored);
        let name = "vswitch_faults";
        text.family(name, Kind::Gauge, "Attachments that are out of order.");
        text.sample(name, &[], self.faults);
    }

    fn networks(&self, text: &mut Exposition) {
        type Value<T> = fn(&T) -> u64;
        let families: [(&str, &str, Value<NetworkGauges>); 3] = [
            ("vswitch_network_ports", "Attached containers of the network.", |one| one.ports),
            ("vswitch_network_fdb_entries", "MAC addresses of the network in the FDB.", |one| {
                one.fdb_entries
            }),
            ("vswitch_network_fdb_entries_max", "Most MAC addresses of the network.", |one| {
                one.fdb_entries_max
            }),
        ];
        for (name, help, value) in families {
            text.family(name, Kind::Gauge, help);
            for network in &self.networks {
                text.sample(name, &[("network", &network.name)], value(network));
            }
        }
    }

    fn uplinks(&self, text: &mut Exposition) {
        let name = "vswitch_uplink_up";
        text.family(name, Kind::Gauge, "1 while packets can leave by the uplink, else 0.");
        for (uplink, status) in &self.uplinks {
            let device = status.device.as_deref().unwrap_or_default();
            let labels = [("uplink", uplink.as_str()), ("device", device)];
            text.sample(name, &labels, u64::from(status.state == UplinkState::Up));
        }
        let [published, pending] = self.publications;
        let name = "vswitch_publications";
        text.family(name, Kind::Gauge, "Published ports that are open.");
        text.sample(name, &[], published);
        let name = "vswitch_publications_pending";
        text.family(name, Kind::Gauge, "Published ports that are not open yet.");
        text.sample(name, &[], pending);
    }

    fn ports(&self, text: &mut Exposition) {
        let each = |text: &mut Exposition, metric: &Metric, value: &dyn Fn(&PortStats) -> u64| {
            text.family(metric.name, metric.kind, metric.help);
            for port in &self.stats.ports {
                let labels = [("network", port.network.as_str()), ("port", &port.name)];
                text.sample(metric.name, &labels, value(port));
            }
        };
        for (n, metric) in PortTraffic::METRICS.iter().enumerate() {
            each(text, metric, &|port| port.traffic.values().nth(n).map_or(0, |(_, value)| value));
        }
        let drops = Metric {
            field: "drops",
            name: "vswitch_port_dropped_frames_total",
            kind: Kind::Counter,
            help: "Frames from or for the port that were dropped.",
        };
        each(text, &drops, &|port| port.drops);
    }

    fn peers(&self, text: &mut Exposition) {
        let each = |text: &mut Exposition, name, value: &dyn Fn(&Peer) -> u64| {
            for peer in &self.peers {
                text.sample(name, &[("peer", &peer.address.to_string())], value(peer));
            }
        };
        let name = "vswitch_vtep_mtu_bytes";
        text.family(
            name,
            Kind::Gauge,
            "Longest IP packet of a container that the path to the VTEP carries.",
        );
        each(text, name, &|peer| peer.mtu.into());
        for (n, metric) in VtepTraffic::METRICS.iter().enumerate() {
            text.family(metric.name, metric.kind, metric.help);
            each(text, metric.name, &|peer| {
                peer.traffic.values().nth(n).map_or(0, |(_, value)| value)
            });
        }
    }

    fn registry(&self, text: &mut Exposition) {
        type Value = fn(&RegistryStatus) -> u64;
        let families: [(&str, &str, Value); 6] = [
            (
                "vswitch_registry_connected",
                "1 while the registry answers, and its changes are followed, else 0.",
                |it| it.connected.into(),
            ),
            ("vswitch_registry_queued", "Writes that the registry has not got yet.", |it| {
                it.queued as u64
            }),
            (
                "vswitch_registry_faults",
                "Entries of the registry that are left out, and refused endpoints of this node.",
                |it| it.faults.len() as u64,
            ),
            ("vswitch_registry_networks", "Networks in the registry.", |it| it.networks as u64),
            ("vswitch_registry_nodes", "Nodes in the registry, with this one.", |it| {
                it.nodes as u64
            }),
            (
                "vswitch_registry_endpoints",
                "Addresses of endpoints in the registry, of all nodes.",
                |it| it.endpoints as u64,
            ),
        ];
        for (name, help, value) in families {
            text.family(name, Kind::Gauge, help);
            if let Some(status) = &self.registry {
                text.sample(name, &[], value(status));
            }
        }
        let name = "vswitch_registry_lag_seconds";
        let help = "Time from the node's last write until the registry told it back; while it has not, since that write.";
        text.family(name, Kind::Gauge, help);
        if let Some(status) = &self.registry {
            text.sample(name, &[], status.lag_ms as f64 / 1000.0);
        }
    }

    fn workers(&self, text: &mut Exposition) {
        for (n, metric) in WorkerStats::METRICS.iter().enumerate() {
            text.family(metric.name, metric.kind, metric.help);
            for worker in &self.stats.workers {
                let value = worker.values().nth(n).map_or(0, |(_, value)| value);
                text.sample(metric.name, &[("worker", &worker.worker.to_string())], value);
            }
        }
    }

    fn drops(&self, text: &mut Exposition) {
        let name = "vswitch_dropped_frames_total";
        text.family(name, Kind::Counter, "Frames dropped, by reason.");
        for reason in DropReason::ALL {
            let count = self.stats.drops.get(reason.name()).copied().unwrap_or(0);
            text.sample(name, &[("reason", reason.name())], count);
        }
    }

    fn dns(&self, text: &mut Exposition) {
        for (metric, (_, value)) in DnsCounters::METRICS.iter().zip(self.stats.dns.values()) {
            text.family(metric.name, metric.kind, metric.help);
            text.sample(metric.name, &[], value);
        }
    }

    fn cut_through(&self, text: &mut Exposition) {
        for (metric, value) in self.stats.cut_through.values() {
            text.family(metric.name, metric.kind, metric.help);
            text.sample(metric.name, &[], value);
        }
    }

    fn limits(&self, text: &mut Exposition) {
        let name = "vswitch_limit";
        text.family(name, Kind::Gauge, "Value of a limit, in its unit.");
        for limit in &self.limits {
            let component = limit.component.to_string();
            let labels =
                [("component", &*component), ("limit", &limit.name), ("unit", &limit.unit)];
            text.sample(name, &labels, limit.value);
        }
        let name = "vswitch_limit_hits_total";
        text.family(
            name,
            Kind::Counter,
            "Frames, requests or entries that a limit refused or evicted.",
        );
        for limit in &self.limits {
            if let Some(hits) = limit.hits {
                let component = limit.component.to_string();
                text.sample(name, &[("component", &component), ("limit", &limit.name)], hits);
            }
        }
    }
}
