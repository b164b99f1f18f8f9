//! `vswitch status`: the daemon itself.

use std::process::ExitCode;

use clap::Args;
use vswitch_api::cut_through::{CutThroughState, CutThroughStatus};
use vswitch_api::limits::Limit;
use vswitch_api::overlay::UnderlayStatus;
use vswitch_api::registry::RegistrySummary;
use vswitch_api::status::{Status, UplinkStatus};

use super::registry;
use crate::error::Outcome;
use crate::global::Global;
use crate::table::Column::{Number, Text};
use crate::{human, output, table};

/// Show what the switch runs on, and since when
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatusArgs {
    /// Show the limits instead, with the effect of each and its hits
    #[arg(long)]
    limits: bool,
}

const EXAMPLES: &str = "\
Examples:
  vswitch status
  vswitch status --format json | jq -r .backend
  vswitch status --limits
  vswitch --socket /tmp/lab.sock status        a second switch on this machine";

impl StatusArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        if self.limits {
            let limits = client.wait(client.limits())?;
            output::show(global.format, &limits, |limits| render_limits(limits))?;
            return Ok(ExitCode::SUCCESS);
        }
        let status = client.wait(client.status())?;
        output::show(global.format, &status, render)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn render(status: &Status) -> String {
    let facts = [
        ("version", status.version.clone()),
        ("pid", status.pid.to_string()),
        ("uptime", human::seconds(status.uptime_s)),
        ("faults", faults(status)),
        ("backend", format!("{} ({})", status.backend, status.backend_reason)),
        ("workers", workers(status)),
        ("scheduling", format!("{} ({})", status.scheduling, status.scheduling_reason)),
        ("idle", format!("{}, {}: {}", status.idle, status.idle_state, status.idle_reason)),
        ("bridge", status.bridge.clone()),
        ("networks", status.networks.to_string()),
        ("containers", status.ports.to_string()),
        ("state", status.state_dir.clone()),
        ("dns", dns(status)),
        ("cut-through", cut_through(&status.cut_through)),
    ];
    let uplinks = (0..).zip(&status.uplinks).flat_map(|(at, it)| uplink(it, at == 0));
    let hints = status.uplink_hints.iter().map(|hint| ("hint", table::warning(hint)));
    let underlay = status.underlay.iter().flat_map(underlay);
    let registry = status.registry.iter().map(|it| ("registry", registry_state(it)));
    let overlay = underlay.chain(registry);
    table::pairs(facts.into_iter().chain(overlay).chain(uplinks).chain(hints))
}

/// What is out of order, and the number of parts on the host that were restored.
fn faults(status: &Status) -> String {
    let attachments = match status.faults.saturating_sub(status.host_faults.len()) {
        0 => None,
        1 => Some("1 attachment (see `vswitch ls`)".to_owned()),
        more => Some(format!("{more} attachments (see `vswitch ls`)")),
    };
    let all: Vec<_> = attachments.iter().chain(&status.host_faults).map(table::alert).collect();
    let faults = if all.is_empty() { "none".to_owned() } else { all.join("; ") };
    match status.restored {
        0 => faults,
        1 => format!("{faults}; 1 part on the host was restored (see `vswitch logs`)"),
        parts => format!("{faults}; {parts} parts on the host were restored (see `vswitch logs`)"),
    }
}

/// Upstream DNS servers, and the file that they come from.
fn dns(status: &Status) -> String {
    let Some(dns) = &status.dns else { return "off".to_owned() };
    let servers = table::list(&dns.upstreams);
    match &dns.resolv_conf {
        Some(path) => format!("on, upstream {servers} ({path})"),
        None => format!("on, upstream {servers}"),
    }
}

/// Whether local TCP connections go from socket to socket, and how many.
fn cut_through(status: &CutThroughStatus) -> String {
    let connections = match status.connections {
        1 => "1 connection".to_owned(),
        count => format!("{count} connections"),
    };
    match (status.state, &status.cgroup) {
        (CutThroughState::On, Some(cgroup)) => format!("on, {connections}, cgroup {cgroup}"),
        (CutThroughState::On, None) => format!("on, {connections}"),
        (CutThroughState::Off | CutThroughState::Unknown, _) => {
            table::alert(format_args!("off: {}", status.reason.as_deref().unwrap_or("unknown")))
        }
        (CutThroughState::NotAsked, _) => "not asked for".to_owned(),
    }
}

/// Rows of the underlay of overlay networks.
fn underlay(underlay: &UnderlayStatus) -> [(&'static str, String); 4] {
    let device = match &underlay.device {
        Some(device) => format!("{device}, MTU {}", underlay.device_mtu),
        None => table::alert("none has the address"),
    };
    [
        ("underlay", format!("{}, node {}", underlay.address, underlay.node)),
        ("  device", device),
        ("  inner MTU", underlay.mtu.to_string()),
        ("  peers", underlay.peers.to_string()),
    ]
}

/// The registry of overlay networks, and whether it answers.
fn registry_state(summary: &RegistrySummary) -> String {
    let RegistrySummary { url, connected, problem, faults } = summary;
    let state = registry::state(*connected, problem.as_deref());
    match faults {
        0 => format!("{url}, {state}"),
        1 => format!("{url}, {state}; {}", table::alert("1 fault (see `vswitch registry status`)")),
        faults => {
            let faults = format!("{faults} faults (see `vswitch registry status`)");
            format!("{url}, {state}; {}", table::alert(faults))
        }
    }
}

/// Rows of an uplink; what all have in common is shown at the first.
fn uplink(uplink: &UplinkStatus, is_first: bool) -> Vec<(&'static str, String)> {
    let UplinkStatus { name, state, publications, .. } = uplink;
    let state = match &uplink.reason {
        None => format!("{name}, {state}"),
        Some(reason) => table::alert(format_args!("{name}, {state} ({reason})")),
    };
    let device = match (&uplink.device, uplink.mtu) {
        (Some(device), Some(mtu)) => format!("{device}, MTU {mtu}"),
        (device, _) => table::list(device),
    };
    let publications = match uplink.publications_pending {
        0 => publications.to_string(),
        pending => format!("{publications}, and {pending} pending (`vswitch inspect` says why)"),
    };
    let connections = match uplink.connections_sharing {
        0 => uplink.connections.to_string(),
        sharing => format!("{}, {sharing} of them share ports", uplink.connections),
    };
    let own = [
        ("uplink", state),
        ("  NAT", uplink.mode.to_string()),
        ("  device", device),
        ("  ipv4", table::list(&uplink.ipv4)),
        ("  ipv6", table::list(&uplink.ipv6)),
    ];
    let common = [
        ("  SNAT ports", uplink.snat_ports.clone()),
        ("  published", publications),
        ("  connections", connections),
    ];
    own.into_iter().chain(common.into_iter().filter(|_| is_first)).collect()
}

/// Number of workers, with their processors.
fn workers(status: &Status) -> String {
    match status.cpus.as_slice() {
        [] => status.workers.to_string(),
        [cpu] => format!("{} (on processor {cpu})", status.workers),
        cpus => {
            let cpus: Vec<_> = cpus.iter().map(usize::to_string).collect();
            format!("{} (on processors {})", status.workers, cpus.join(","))
        }
    }
}

fn render_limits(limits: &[Limit]) -> String {
    let columns = [
        Text("COMPONENT"),
        Text("LIMIT"),
        Number("VALUE"),
        Text("UNIT"),
        Number("HITS"),
        Text("ON EXCEED"),
    ];
    table::table(
        columns,
        limits.iter().map(|limit| {
            [
                limit.component.to_string(),
                limit.name.clone(),
                limit.value.to_string(),
                limit.unit.clone(),
                limit.hits.map_or_else(|| "-".to_owned(), |hits| hits.to_string()),
                limit.on_exceed.clone(),
            ]
        }),
    )
}

#[cfg(test)]
mod tests {
    use vswitch_api::limits::Component;
    use vswitch_api::status::{
        Backend, DnsStatus, IdlePolicy, IdleState, Scheduling, UplinkMode, UplinkState,
    };

    use super::*;

    #[test]
    fn a_row_a_limit() {
        let limit = |name: &str, hits| Limit {
            name: name.into(),
            component: Component::Port,
            value: 8192,
            unit: "ports".into(),
            on_exceed: "an attach is refused".into(),
            hits,
        };
        assert_eq!(
            render_limits(&[limit("ports", Some(3)), limit("a", None)]),
            "\
COMPONENT  LIMIT  VALUE  UNIT   HITS  ON EXCEED
port       ports   8192  ports     3  an attach is refused
port       a       8192  ports     -  an attach is refused
"
        );
    }

    fn status() -> Status {
        Status {
            version: "0.1.0".into(),
            pid: 42,
            backend: Backend::Epoll,
            backend_reason: "kernel.io_uring_disabled is 2".into(),
            workers: 1,
            cpus: vec![3],
            scheduling: Scheduling::Normal,
            scheduling_reason: "asked for by --scheduling normal".into(),
            idle: IdlePolicy::Adaptive,
            idle_state: IdleState::Sleeping,
            idle_reason: "other processes leave only 0.4 of 2 processors".into(),
            bridge: "br0".into(),
            networks: 1,
            ports: 200,
            uptime_s: 3_700,
            restored: 0,
            faults: 0,
            host_faults: Vec::new(),
            state_dir: "/var/lib/vswitch".into(),
            uplinks: Vec::new(),
            uplink_hints: Vec::new(),
            dns: Some(DnsStatus {
                upstreams: vec![([192, 0, 2, 1], 53).into(), ([192, 0, 2, 2], 53).into()],
                resolv_conf: Some("/etc/resolv.conf".into()),
            }),
            underlay: None,
            registry: None,
            cut_through: CutThroughStatus::default(),
        }
    }

    #[test]
    fn a_line_a_fact() {
        let status = status();
        assert_eq!(
            render(&status),
            "\
version      0.1.0
pid          42
uptime       1h 1m
faults       none
backend      epoll (kernel.io_uring_disabled is 2)
workers      1 (on processor 3)
scheduling   normal (asked for by --scheduling normal)
idle         adaptive, sleeping: other processes leave only 0.4 of 2 processors
bridge       br0
networks     1
containers   200
state        /var/lib/vswitch
dns          on, upstream 192.0.2.1:53, 192.0.2.2:53 (/etc/resolv.conf)
cut-through  not asked for
"
        );
    }

    #[test]
    fn cut_through_is_on_or_off_with_its_reason() {
        let shown = |json: serde_json::Value| {
            crate::output::painted(&cut_through(&serde_json::from_value(json).unwrap()), false)
        };
        let on = serde_json::json!({"state": "on", "cgroup": "/c", "connections": 1});
        assert_eq!(shown(on), "on, 1 connection, cgroup /c");
        let more = serde_json::json!({"state": "on", "connections": 2});
        assert_eq!(shown(more), "on, 2 connections");
        let off =
            serde_json::json!({"state": "off", "reason": "there is no cgroup2", "connections": 0});
        assert_eq!(shown(off), "off: there is no cgroup2");
    }

    #[test]
    fn a_block_for_the_underlay() {
        let underlay = UnderlayStatus {
            node: "n1".into(),
            address: "192.0.2.1:4789".parse().unwrap(),
            device: Some("eth0".into()),
            device_mtu: 1500,
            mtu: 1450,
            peers: 2,
            checksum: true,
        };
        let shown = render(&Status { underlay: Some(underlay), ..status() });
        assert!(
            shown.ends_with(
                "\
underlay     192.0.2.1:4789, node n1
  device     eth0, MTU 1500
  inner MTU  1450
  peers      2
"
            ),
            "{shown}"
        );
    }

    #[test]
    fn a_line_for_the_registry() {
        let shown = |connected, problem: Option<&str>, faults| {
            let url = "etcd://192.0.2.9:2379/vswitch".into();
            let problem = problem.map(str::to_owned);
            let registry = Some(RegistrySummary { url, connected, problem, faults });
            let shown = crate::output::painted(&render(&Status { registry, ..status() }), false);
            shown.lines().last().unwrap().to_owned()
        };
        let url = "registry     etcd://192.0.2.9:2379/vswitch";
        assert_eq!(shown(true, None, 0), format!("{url}, connected"));
        let refused = shown(false, Some("connection refused"), 2);
        let faults = "2 faults (see `vswitch registry status`)";
        assert_eq!(refused, format!("{url}, away: connection refused; {faults}"));
    }

    #[test]
    fn a_block_an_uplink() {
        let status = status();
        let detail = UplinkStatus {
            name: "eth0".into(),
            mode: UplinkMode::UserSpace,
            state: UplinkState::Waiting,
            reason: Some("there is no default route".into()),
            device: Some("eth0".into()),
            mtu: Some(1500),
            ipv4: vec!["192.0.2.1".parse().unwrap()],
            ipv6: Vec::new(),
            snat_ports: "20000-29999".into(),
            publications: 2,
            publications_pending: 1,
            connections: 7,
            connections_sharing: 3,
        };
        let status = Status { uplinks: vec![detail.clone()], ..status };
        let shown = crate::output::painted(&render(&status), false);
        assert!(
            shown.ends_with(
                "\
uplink         eth0, waiting (there is no default route)
  NAT          user-space
  device       eth0, MTU 1500
  ipv4         192.0.2.1
  ipv6         -
  SNAT ports   20000-29999
  published    2, and 1 pending (`vswitch inspect` says why)
  connections  7, 3 of them share ports
"
            ),
            "{shown}"
        );
        let second = UplinkStatus { name: "eth1".into(), reason: None, ..detail.clone() };
        let uplink_hints = vec!["wg0 is no Ethernet device".into()];
        let status = Status { uplinks: vec![detail, second], uplink_hints, ..status };
        let shown = crate::output::painted(&render(&status), false);
        assert_eq!(shown.matches("  connections").count(), 1, "{shown}");
        assert!(
            shown.contains("eth1") && shown.ends_with("wg0 is no Ethernet device\n"),
            "{shown}"
        );
    }
}
