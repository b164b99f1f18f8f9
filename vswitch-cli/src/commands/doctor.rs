//! `vswitch doctor`: checks whether this machine can run the switch, and gives advice.
//!
//! [`machine`] queries the kernel; [`checks`] judges the results.

mod checks;
mod machine;

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use vswitch_api::stats::Stats;

use crate::error::{EXIT_FAILED, Outcome};
use crate::global::Global;
use crate::table::Column::Text;
use crate::{output, table};

/// Check whether this machine can run the switch
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DoctorArgs {}

const EXAMPLES: &str = "\
Exits with 1 when a check fails; warnings do not count.

Examples:
  sudo vswitch doctor
  sudo vswitch doctor --format json | jq '.[] | select(.status != \"ok\")'";

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Health {
    /// Nothing to do.
    Ok,
    /// The switch runs with restrictions.
    Warn,
    /// The switch cannot run.
    Fail,
}

/// A check with its result; the keys are stable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    /// Name of the check.
    check: &'static str,
    /// Result.
    status: Health,
    /// Finding.
    detail: String,
    /// Remedy.
    advice: Option<String>,
}

impl Row {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, status: Health::Ok, detail: detail.into(), advice: None }
    }

    fn warn(check: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, status: Health::Warn, detail: detail.into(), advice: Some(advice.into()) }
    }

    fn fail(check: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { status: Health::Fail, ..Self::warn(check, detail, advice) }
    }
}

impl DoctorArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let rows = examine(global)?;
        output::show(global.format, &rows, |rows| render(rows))?;
        let failed = rows.iter().any(|row| row.status == Health::Fail);
        Ok(if failed { ExitCode::from(EXIT_FAILED) } else { ExitCode::SUCCESS })
    }
}

fn examine(global: &Global) -> Outcome<Vec<Row>> {
    let setting = machine::setting;
    let client = global.client()?;
    let status = client.wait(client.status());
    let ports = status.as_ref().map_or(0, |status| status.ports);
    let uplinks = checks::uplinks(status.as_ref().ok());
    let running = status.as_ref().ok().and_then(|status| status.uplinks.first());
    let on_underlay = status.as_ref().ok().and_then(|status| status.underlay.clone());
    let rules = machine::nat_rules();
    let snat_ports = running.and_then(|uplink| uplink.snat_ports.parse().ok()).unwrap_or_default();
    let mut rows = vec![
        checks::kernel(&setting("kernel/osrelease").unwrap_or_default()),
        checks::io_uring(
            setting("kernel/io_uring_disabled").as_deref(),
            fastpath::backend::probe().map_err(|error| error.to_string()),
        ),
        checks::tun(machine::make_tap()),
        checks::capabilities(machine::effective_capabilities()),
        checks::ip_forward(
            setting("net/ipv4/ip_forward").as_deref(),
            setting("net/ipv6/conf/all/forwarding").as_deref(),
        ),
        checks::congestion_control(setting("net/ipv4/tcp_congestion_control").as_deref()),
        checks::mtu(machine::default_route_mtu()),
        checks::snat_ports(setting("net/ipv4/ip_local_port_range").as_deref()),
        checks::dnat(&snat_ports, &rules),
        checks::nftables(vswitch::probe_nftables()),
        checks::left_over(vswitch::orphaned_tables()),
        checks::docker(machine::has_docker()),
        checks::open_files(machine::open_files(), &snat_ports),
        checks::neighbours(setting("net/ipv4/neigh/default/gc_thresh3").as_deref(), ports),
        uplinks,
    ];
    let stats = if on_underlay.is_some() { client.wait(client.stats())? } else { Stats::default() };
    let findings = checks::Findings {
        sockets: machine::udp_sockets(),
        rules,
        refusals: stats.workers.iter().map(|worker| worker.segmentation_refusals).sum(),
        overflow: stats.drops.get("rx-overflow").copied().unwrap_or(0),
    };
    rows.extend(checks::underlay(on_underlay.as_ref(), &findings));
    let has_registry = status.as_ref().is_ok_and(|status| status.registry.is_some());
    let registry = if has_registry { Some(client.wait(client.registry())?) } else { None };
    rows.extend(checks::registry(on_underlay.is_some(), registry.as_ref()));
    rows.extend(checks::cut_through(status.as_ref().ok().map(|status| &status.cut_through)));
    rows.push(checks::daemon(&global.socket(), status));
    Ok(rows)
}

fn render(rows: &[Row]) -> String {
    table::table(
        [Text("CHECK"), Text("STATUS"), Text("FOUND"), Text("WHAT TO DO")],
        rows.iter().map(|row| {
            let status = match row.status {
                Health::Ok => "ok".to_owned(),
                Health::Warn => table::warning("warn"),
                Health::Fail => table::alert("FAIL"),
            };
            let advice = row.advice.clone().unwrap_or_default();
            [row.check.to_owned(), status, row.detail.clone(), advice]
        }),
    )
}

#[cfg(test)]
mod tests;
