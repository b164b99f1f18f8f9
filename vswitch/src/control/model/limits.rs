//! Limits of ports, compiled for the datapath.

use std::sync::Arc;

use vswitch_api::port_settings::limits::{Ceiling, FrameRate, Limits};

use crate::datapath::limits::{MACS_PER_PORT, STORM_BROADCAST, STORM_MULTICAST, STORM_UNKNOWN};
use crate::datapath::{PortKind, PortLimits, Rate, Storm, TokenBucket};

/// Compiles limits. An unchanged rate keeps its token bucket, so that a change of another setting gives no
/// new burst.
pub(super) fn compile(limits: &Limits, kind: PortKind, former: &PortLimits) -> PortLimits {
    let is_container = kind == PortKind::Container;
    let frames =
        |ceiling: Ceiling<FrameRate>, default: FrameRate, former: Option<&Arc<TokenBucket>>| {
            let rate = ceiling.or(is_container.then_some(default)).map(Rate::frames);
            keep(rate, former)
        };
    let (storm, before) = (limits, former.storm.clone().unwrap_or_default());
    let storm = Storm {
        broadcast: frames(storm.storm_broadcast, STORM_BROADCAST, before.broadcast.as_ref()),
        multicast: frames(storm.storm_multicast, STORM_MULTICAST, before.multicast.as_ref()),
        unknown: frames(storm.storm_unknown, STORM_UNKNOWN, before.unknown.as_ref()),
    };
    let is_any = [&storm.broadcast, &storm.multicast, &storm.unknown].iter().any(|b| b.is_some());
    let macs = match limits.macs_max {
        Ceiling::Default => is_container.then_some(MACS_PER_PORT),
        Ceiling::Off => None,
        Ceiling::At(count) => usize::try_from(count.get()).ok(),
    };
    PortLimits {
        rate_in: keep(limits.rate_in.or(None).map(Rate::bits), former.rate_in.as_ref()),
        rate_out: keep(limits.rate_out.or(None).map(Rate::bits), former.rate_out.as_ref()),
        storm: is_any.then_some(storm),
        macs_max: macs.unwrap_or(usize::MAX),
        loop_guard: is_container && limits.loop_guard,
    }
}

fn keep(rate: Option<Rate>, former: Option<&Arc<TokenBucket>>) -> Option<Arc<TokenBucket>> {
    let rate = rate?;
    let same = former.filter(|bucket| bucket.rate() == rate);
    Some(same.cloned().unwrap_or_else(|| Arc::new(TokenBucket::new(rate))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(json: &str) -> Limits {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn containers_have_defaults_and_the_host_has_none() {
        let container = compile(&Limits::default(), PortKind::Container, &PortLimits::NONE);
        assert_eq!(container.macs_max, MACS_PER_PORT);
        assert!(
            container.loop_guard && container.rate_in.is_none() && container.rate_out.is_none()
        );
        let storm = container.storm.unwrap();
        assert_eq!(storm.broadcast.unwrap().rate().per_s(), STORM_BROADCAST.get());
        let host = compile(&Limits::default(), PortKind::Host, &PortLimits::NONE);
        assert!(host.storm.is_none() && !host.loop_guard && host.macs_max == usize::MAX);
    }

    #[test]
    fn a_rate_that_stays_keeps_its_bucket() {
        let first = limits(r#"{"rate_in": 8000000, "rate_out": 8000000}"#);
        let second = limits(r#"{"rate_in": 8000000, "rate_out": 9000000}"#);
        let before = compile(&first, PortKind::Container, &PortLimits::NONE);
        let after = compile(&second, PortKind::Container, &before);
        let same = |a: &Option<Arc<TokenBucket>>, b: &Option<Arc<TokenBucket>>| {
            Arc::ptr_eq(a.as_ref().unwrap(), b.as_ref().unwrap())
        };
        assert!(same(&before.rate_in, &after.rate_in) && !same(&before.rate_out, &after.rate_out));
        let storms = (before.storm.unwrap(), after.storm.unwrap());
        assert!(same(&storms.0.broadcast, &storms.1.broadcast));
    }

    #[test]
    fn what_is_off_is_off() {
        let off = limits(
            r#"{"storm_broadcast": "off", "storm_multicast": "off", "storm_unknown": "off",
                "macs_max": "off", "loop_guard": false}"#,
        );
        let compiled = compile(&off, PortKind::Container, &PortLimits::NONE);
        assert!(compiled.storm.is_none() && compiled.macs_max == usize::MAX);
        assert!(!compiled.loop_guard);
    }
}
