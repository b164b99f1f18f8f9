//! Cut-through: whether its programs run, and why not.

use vswitch_api::cut_through::{CutThroughState, CutThroughStatus};

use super::super::Row;

/// Judges cut-through of a running switch; no row where there is none.
pub(in super::super) fn cut_through(status: Option<&CutThroughStatus>) -> Option<Row> {
    const CHECK: &str = "cut_through";
    let status = status?;
    Some(match (status.state, &status.reason) {
        (CutThroughState::NotAsked, _) => {
            Row::ok(CHECK, "no network asks for it; `vswitch up --cut-through` does for all")
        }
        (CutThroughState::Off | CutThroughState::Unknown, reason) => Row::warn(
            CHECK,
            format!("off: {}", reason.as_deref().unwrap_or("unknown")),
            "local TCP connections pass the switch as any other; docs/cut-through.md says what it needs",
        ),
        (CutThroughState::On, _) => {
            Row::ok(CHECK, format!("on, {} connections", status.connections))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::Health;
    use super::*;

    #[test]
    fn cut_through_that_is_off_is_a_warning() {
        let judged = |state, reason: Option<&str>| {
            let status = CutThroughStatus {
                state,
                reason: reason.map(str::to_owned),
                ..CutThroughStatus::default()
            };
            let row = cut_through(Some(&status)).unwrap();
            (row.status, row.detail)
        };
        assert_eq!(cut_through(None), None);
        assert_eq!(judged(CutThroughState::NotAsked, None).0, Health::Ok);
        let (status, detail) = judged(CutThroughState::Off, Some("the kernel has no BTF"));
        assert_eq!((status, detail.as_str()), (Health::Warn, "off: the kernel has no BTF"));
        assert_eq!(judged(CutThroughState::On, None).0, Health::Ok);
    }
}
