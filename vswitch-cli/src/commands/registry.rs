//! `vswitch registry`: the registry that the nodes of overlay networks share.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use vswitch_api::registry::{LeaseState, RegistryStatus};

use crate::error::{EXIT_FAILED, Outcome};
use crate::global::Global;
use crate::table::Column::Text;
use crate::{human, output, table};

/// Show the registry of overlay networks, and this node's part in it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RegistryArgs {
    #[command(subcommand)]
    command: RegistryCommand,
}

const EXAMPLES: &str = "\
Examples:
  vswitch registry status
  vswitch registry status --format json | jq -r '.faults[]'

The registry is named by `vswitch up --registry URL`.";

#[derive(Debug, Subcommand)]
enum RegistryCommand {
    /// Show whether the registry answers, the node's lease, and what it knows
    #[command(after_help = STATUS_HELP)]
    Status,
}

const STATUS_HELP: &str = "\
Exits with 1 while the registry does not answer, or the node is not registered; faults do not count.

REVISION is the newest state of the registry that this node has followed; LAG is the time from the node's last write until
the registry told it back. QUEUED writes wait for the registry. During the GRACE period after its return, no other node
is believed gone. DOUBTED entries are gone from the registry, and still believed for a while.

Examples:
  vswitch registry status
  vswitch registry status --format json | jq .lag_ms
  until vswitch registry status >/dev/null; do sleep 1; done";

impl RegistryArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        match self.command {
            RegistryCommand::Status => {
                let client = global.client()?;
                let status = client.wait(client.registry())?;
                output::show(global.format, &status, render)?;
                Ok(if is_well(&status) { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
            }
        }
    }
}

fn is_well(status: &RegistryStatus) -> bool {
    status.connected && status.problem.is_none()
}

fn render(status: &RegistryStatus) -> String {
    let own = |own: usize| format!("{own} of this node");
    let facts = [
        ("registry", status.url.clone()),
        ("state", state(status.connected, status.problem.as_deref())),
        ("node", status.node.clone()),
        ("server", table::list(&status.endpoint)),
        ("revision", status.revision.to_string()),
        ("lag", format!("{} ms", status.lag_ms)),
        ("lease", lease(status)),
        ("queued", status.queued.to_string()),
        ("grace", status.grace_s.map_or_else(|| "none".to_owned(), human::seconds)),
        ("doubted", status.doubted.to_string()),
        ("networks", status.networks.to_string()),
        ("nodes", status.nodes.to_string()),
        ("endpoints", format!("{}, {}", status.endpoints, own(status.own_endpoints))),
        ("blocks", own(status.own_blocks)),
        ("faults", faults(status.faults.len())),
    ];
    let mut shown = table::pairs(facts);
    if !status.faults.is_empty() {
        shown.push('\n');
        shown +=
            &table::table([Text("FAULT")], status.faults.iter().map(|fault| [table::alert(fault)]));
    }
    shown
}

/// Whether the registry answers, and why not: a cell.
pub(super) fn state(is_connected: bool, problem: Option<&str>) -> String {
    match (is_connected, problem) {
        (true, None) => "connected".to_owned(),
        (true, Some(problem)) => table::alert(format_args!("connected, but {problem}")),
        (false, None) => table::alert("away"),
        (false, Some(problem)) => table::alert(format_args!("away: {problem}")),
    }
}

fn lease(status: &RegistryStatus) -> String {
    let Some(lease) = &status.lease else { return "none".to_owned() };
    let text = format!("{}, {}, {}", lease.state, human::seconds(lease.ttl_s), lease.id);
    if lease.state == LeaseState::Active { text } else { table::alert(text) }
}

fn faults(count: usize) -> String {
    if count == 0 { "none".to_owned() } else { table::alert(count) }
}

#[cfg(test)]
pub(super) mod tests {
    use vswitch_api::registry::LeaseStatus;

    use super::*;
    use crate::output::painted;

    pub(in crate::commands) fn status() -> RegistryStatus {
        RegistryStatus {
            url: "etcd://192.0.2.9:2379/vswitch".into(),
            node: "n1".into(),
            connected: true,
            problem: None,
            endpoint: Some("192.0.2.9:2379".into()),
            revision: 4711,
            lag_ms: 3,
            lease: Some(LeaseStatus { id: "694d8d".into(), ttl_s: 15, state: LeaseState::Active }),
            queued: 0,
            grace_s: None,
            doubted: 0,
            networks: 2,
            nodes: 3,
            endpoints: 120,
            own_endpoints: 40,
            own_blocks: 1,
            faults: Vec::new(),
        }
    }

    #[test]
    fn a_line_a_fact() {
        assert!(is_well(&status()));
        assert_eq!(
            render(&status()),
            "\
registry   etcd://192.0.2.9:2379/vswitch
state      connected
node       n1
server     192.0.2.9:2379
revision   4711
lag        3 ms
lease      active, 15s, 694d8d
queued     0
grace      none
doubted    0
networks   2
nodes      3
endpoints  120, 40 of this node
blocks     1 of this node
faults     none
"
        );
    }

    #[test]
    fn what_is_wrong_is_said_and_is_a_failure() {
        let away = RegistryStatus {
            connected: false,
            problem: Some("192.0.2.9:2379: connection refused".into()),
            grace_s: Some(90),
            lease: None,
            endpoint: None,
            faults: vec!["v1/vnis/9: not JSON".into(), "v1/nodes/n2: VTEP of n3".into()],
            ..status()
        };
        assert!(!is_well(&away));
        let shown = painted(&render(&away), false);
        for line in [
            "state      away: 192.0.2.9:2379: connection refused\n",
            "server     -\n",
            "lease      none\n",
            "grace      1m 30s\n",
            "faults     2\n\nFAULT\nv1/vnis/9: not JSON\nv1/nodes/n2: VTEP of n3\n",
        ] {
            assert!(shown.contains(line), "{line}{shown}");
        }
        let refused = RegistryStatus { problem: Some("n2 has the VTEP".into()), ..status() };
        assert!(!is_well(&refused) && render(&refused).contains("connected, but n2 has the VTEP"));
    }
}
