//! The registry of overlay networks: whether it answers, the node's lease, and its entries.

use vswitch_api::registry::{LeaseState, RegistryStatus};

use super::super::Row;

/// Judges the registry of a running switch with an underlay; no rows where there is no such switch.
pub(in super::super) fn registry(has_underlay: bool, status: Option<&RegistryStatus>) -> Vec<Row> {
    match status {
        Some(status) => vec![answer(status), entries(status)],
        None if has_underlay => vec![Row::ok(
            "registry",
            "none: peers are added by `vswitch network peer add`; `vswitch up --registry` shares them",
        )],
        None => Vec::new(),
    }
}

fn answer(status: &RegistryStatus) -> Row {
    const CHECK: &str = "registry";
    let RegistryStatus { url, node, .. } = status;
    if !status.connected {
        let problem = status.problem.as_deref().unwrap_or("no answer");
        return Row::fail(
            CHECK,
            format!("{url} is away: {problem}"),
            "start it, or let its TCP port through; the switch tries again by itself",
        );
    }
    if let Some(problem) = &status.problem {
        return Row::fail(
            CHECK,
            format!("{url} answers, but {node} is not registered: {problem}"),
            "give each host a --node and an --underlay of its own, and the registry's user access",
        );
    }
    let lease = match &status.lease {
        Some(lease) if lease.state != LeaseState::Active => {
            return Row::warn(
                CHECK,
                format!("{url} answers, and the lease of {node} is {}", lease.state),
                "the registry is slow, or was away: see `vswitch registry status` again in a moment",
            );
        }
        Some(_) => "lease active, ",
        None => "",
    };
    let nodes = if status.nodes == 1 { "1 node" } else { &format!("{} nodes", status.nodes) };
    match status.queued {
        0 => Row::ok(CHECK, format!("{url} answers: {lease}{nodes}")),
        queued => Row::ok(CHECK, format!("{url} answers: {lease}{nodes}, {queued} writes wait")),
    }
}

fn entries(status: &RegistryStatus) -> Row {
    const CHECK: &str = "registry_entries";
    match status.faults.as_slice() {
        [] => Row::ok(CHECK, format!("{} endpoints, no faults", status.endpoints)),
        [first, more @ ..] => Row::warn(
            CHECK,
            match more.len() {
                0 => first.clone(),
                more => format!("{first}; and {more} more"),
            },
            "`vswitch registry status` lists them: correct or delete these entries of the registry",
        ),
    }
}

#[cfg(test)]
mod tests {
    use vswitch_api::registry::LeaseStatus;

    use super::super::super::Health;
    use super::*;
    use crate::commands::registry::tests::status;

    fn health(status: &RegistryStatus) -> Vec<Health> {
        registry(true, Some(status)).into_iter().map(|row| row.status).collect()
    }

    #[test]
    fn a_switch_without_a_registry_is_in_order() {
        assert!(registry(false, None).is_empty());
        let rows = registry(true, None);
        assert_eq!((rows.len(), rows[0].status), (1, Health::Ok));
    }

    #[test]
    fn each_fault_is_told_with_what_to_do() {
        let good = status();
        assert_eq!(health(&good), [Health::Ok; 2]);
        let away = RegistryStatus { connected: false, problem: Some("refused".into()), ..status() };
        assert_eq!(health(&away)[0], Health::Fail);
        let rows = registry(true, Some(&away));
        assert!(rows[0].detail.contains("refused") && rows[0].advice.is_some());
        let taken = RegistryStatus { problem: Some("n1 is another's".into()), ..status() };
        assert_eq!(health(&taken)[0], Health::Fail);
        let lease = LeaseStatus { id: "1".into(), ttl_s: 15, state: LeaseState::Unconfirmed };
        assert_eq!(health(&RegistryStatus { lease: Some(lease), ..status() })[0], Health::Warn);
        let file = RegistryStatus { lease: None, ..status() };
        assert_eq!(health(&file), [Health::Ok; 2], "a file has no leases");
        let faults = vec!["v1/vnis/9: not JSON".into(), "v1/vnis/8: not JSON".into()];
        let wrong = RegistryStatus { faults, ..status() };
        assert_eq!(health(&wrong)[1], Health::Warn);
        assert!(registry(true, Some(&wrong))[1].detail.contains("and 1 more"));
    }
}
