//! What the switch has to reach: the tables of the issues, as ratios within one run.

use crate::contender::{DOCKER0, KERNEL_BRIDGE, VSWITCH, VSWITCH_CUT_THROUGH};
use crate::metric::{Better, Metric};
use crate::result::Outcome;

/// What a target is measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Against {
    /// A ratio to a contender.
    Contender(&'static str),
    /// A ratio to the best of other people's switches in user space.
    BestUserSpace,
    /// So much more than a contender at most.
    Above(&'static str),
    /// The figure itself.
    Nothing,
}

/// A line of the tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) metric: &'static str,
    pub(crate) against: Against,
    /// Must be met.
    pub(crate) least: f64,
    /// Is worth reaching for.
    pub(crate) reach: Option<f64>,
    /// The contender of ours that has to reach it; none for all that have no targets of their own.
    own: Option<&'static str>,
}

/// How a figure stands to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Missed,
    Met,
    Reached,
}

impl Verdict {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Missed => "MISSED",
            Self::Met => "met",
            Self::Reached => "reached",
        }
    }
}

const DOCKER: Against = Against::Contender(DOCKER0);
const BRIDGE: Against = Against::Contender(KERNEL_BRIDGE);
const WITHOUT: Against = Against::Contender(VSWITCH);

const fn target(metric: &'static str, against: Against, least: f64, reach: Option<f64>) -> Target {
    Target { metric, against, least, reach, own: None }
}

/// For the switch with cut-through.
const fn cut_through(metric: &'static str, against: Against, least: f64) -> Target {
    Target { own: Some(VSWITCH_CUT_THROUGH), ..target(metric, against, least, None) }
}

/// All of them. "0" for the CPU of an idle switch means 0.0 as it is shown.
pub(crate) const ALL: [Target; 133] = [
    target("tcp1.gbps", DOCKER, 1.1, None),
    target("tcp4.gbps", DOCKER, 0.85, Some(1.0)),
    target("rtt-tcp.p50_us", DOCKER, 0.6, None),
    target("rtt-tcp.p99_us", DOCKER, 0.9, None),
    target("rtt-tcp.p999_us", DOCKER, 1.2, Some(1.0)),
    target("udp64.kpps", DOCKER, 1.5, None),
    target("connect.per_s", DOCKER, 0.9, Some(1.0)),
    target("http.per_s", DOCKER, 0.95, Some(1.0)),
    target("redis1.per_s", DOCKER, 1.2, None),
    target("redis50.per_s", DOCKER, 1.0, None),
    target("publish-http.per_s", DOCKER, 0.9, Some(1.0)),
    target("egress-connect.per_s", DOCKER, 0.85, Some(1.0)),
    target("publish-connect.per_s", DOCKER, 0.85, Some(1.0)),
    target("tcp1.cpu_s_per_gb", DOCKER, 1.1, Some(1.0)),
    target("tcp4.cpu_s_per_gb", DOCKER, 1.1, Some(1.0)),
    target("http.cpu_s_per_million", DOCKER, 1.1, Some(1.0)),
    target("connect.cpu_s_per_million", DOCKER, 1.1, Some(1.0)),
    target("redis1.cpu_s_per_million", DOCKER, 1.1, Some(1.0)),
    target("redis50.cpu_s_per_million", DOCKER, 1.1, Some(1.0)),
    target("udp1400.kpps", DOCKER, 0.8, Some(1.1)),
    target("names.per_s", DOCKER, 1.5, None),
    target("names.p99_us", DOCKER, 0.5, None),
    target("names10000.per_s_ratio", Against::Nothing, 0.9, None),
    target("networks500.gbps_ratio", Against::Nothing, 0.9, None),
    target("networks500.p50_ratio", Against::Nothing, 1.1, None),
    target("networks500.create_s", Against::Nothing, 90.0, None),
    target("docker-run.ms", DOCKER, 1.0, None),
    target("idle200.cpu_percent", Against::Nothing, 0.5, Some(0.05)),
    target("egress-tcp1.gbps", DOCKER, 0.9, Some(1.2)),
    target("publish-tcp1.gbps", DOCKER, 0.9, Some(1.2)),
    target("publish-rtt.p50_us", DOCKER, 0.75, None),
    target("tcp1.gbps", Against::BestUserSpace, 1.3, None),
    target("tcp4.gbps", Against::BestUserSpace, 1.3, None),
    target("rtt-tcp.p50_us", Against::BestUserSpace, 0.55, None),
    target("udp64.kpps", Against::BestUserSpace, 1.0, None),
    target("udp1400.kpps", Against::BestUserSpace, 1.0, None),
    target("tcp1.gbps", BRIDGE, 0.5, None),
    target("tcp4.gbps", BRIDGE, 0.45, None),
    target("rtt-tcp.p50_us", BRIDGE, 0.65, None),
    target("rtt-tcp.p99_us", BRIDGE, 1.2, None),
    target("idle200.first_frame_us", Against::Above(KERNEL_BRIDGE), 60.0, None),
    target("idle200.attach_ms", Against::Nothing, 50.0, None),
    target("idle200.kib_per_port", Against::Nothing, 300.0, None),
    target("scale1000.gbps_ratio", Against::Nothing, 0.9, None),
    target("scale1000.p50_ratio", Against::Nothing, 1.1, None),
    target("scale1000.attach_ms", Against::Nothing, 60.0, None),
    target("scale1000.cpu_percent", Against::Nothing, 0.5, None),
    target("scale1000.kib_per_port", Against::Nothing, 300.0, None),
    target("attack-mac.gbps_ratio", Against::Nothing, 0.8, None),
    target("attack-mac.p99_ratio", Against::Nothing, 2.0, None),
    target("attack-broadcast.gbps_ratio", Against::Nothing, 0.8, None),
    target("attack-broadcast.p99_ratio", Against::Nothing, 2.0, None),
    target("attack-garbage.gbps_ratio", Against::Nothing, 0.8, None),
    target("attack-garbage.p99_ratio", Against::Nothing, 2.0, None),
    target("attack-udp.gbps_ratio", Against::Nothing, 0.8, None),
    target("attack-udp.p99_ratio", Against::Nothing, 2.0, None),
    target("attack-arp.gbps_ratio", Against::Nothing, 0.8, None),
    target("attack-arp.p99_ratio", Against::Nothing, 2.0, None),
    target("overlay-tcp1.gbps", BRIDGE, 0.95, Some(1.2)),
    target("overlay-tcp4.gbps", BRIDGE, 0.95, Some(1.2)),
    target("overlay-tcp1.cpu_s_per_gb", BRIDGE, 1.3, None),
    target("overlay-tcp4.cpu_s_per_gb", BRIDGE, 1.3, None),
    target("overlay-rtt.p50_us", BRIDGE, 1.0, Some(0.8)),
    target("overlay-udp1400.kpps", BRIDGE, 1.0, None),
    target("overlay-veth-tcp1.gbps", BRIDGE, 0.45, Some(0.7)),
    target("overlay-veth-tcp4.gbps", BRIDGE, 0.45, Some(0.7)),
    target("overlay-veth-rtt.p50_us", BRIDGE, 1.0, Some(0.8)),
    target("busy1-tcp1.gbps", DOCKER, 0.8, Some(1.0)),
    target("busy1-tcp4.gbps", DOCKER, 0.75, Some(1.0)),
    target("busy1-rtt-tcp.p50_us", DOCKER, 1.4, Some(1.0)),
    target("busy1-rtt-tcp.p99_us", DOCKER, 1.5, Some(1.0)),
    target("busy1-rtt-tcp.p999_us", DOCKER, 1.5, Some(1.0)),
    target("busy1-udp64.kpps", DOCKER, 1.0, None),
    target("busy1-connect.per_s", DOCKER, 0.9, Some(1.0)),
    target("busy1-http.per_s", DOCKER, 1.0, None),
    target("busy1-redis1.per_s", DOCKER, 0.6, Some(1.0)),
    target("busy1-redis50.per_s", DOCKER, 0.9, Some(1.0)),
    target("busy1-publish-http.per_s", DOCKER, 0.9, Some(1.0)),
    target("busy1-egress-connect.per_s", DOCKER, 0.8, Some(1.0)),
    target("busy1-publish-connect.per_s", DOCKER, 0.8, Some(1.0)),
    target("busy1-tcp1.cpu_s_per_gb", DOCKER, 1.1, Some(1.0)),
    target("busy1-tcp4.cpu_s_per_gb", DOCKER, 1.1, Some(1.0)),
    target("busy1-http.cpu_s_per_million", DOCKER, 1.1, Some(1.0)),
    target("busy1-connect.cpu_s_per_million", DOCKER, 1.1, Some(1.0)),
    target("busy1-redis1.cpu_s_per_million", DOCKER, 1.1, Some(1.0)),
    target("busy1-redis50.cpu_s_per_million", DOCKER, 1.1, Some(1.0)),
    target("busy1-http.hog_cpus", DOCKER, 0.95, Some(1.0)),
    target("busy2-tcp1.gbps", DOCKER, 0.7, Some(1.0)),
    target("busy2-tcp4.gbps", DOCKER, 0.7, Some(1.0)),
    target("busy2-rtt-tcp.p50_us", DOCKER, 1.5, Some(1.0)),
    target("busy2-rtt-tcp.p99_us", DOCKER, 2.0, Some(1.0)),
    target("busy2-rtt-tcp.p999_us", DOCKER, 2.0, Some(1.0)),
    target("busy2-udp64.kpps", DOCKER, 0.8, Some(1.0)),
    target("busy2-connect.per_s", DOCKER, 0.8, Some(1.0)),
    target("busy2-http.per_s", DOCKER, 0.9, Some(1.0)),
    target("busy2-redis1.per_s", DOCKER, 0.6, Some(1.0)),
    target("busy2-redis50.per_s", DOCKER, 0.9, Some(1.0)),
    target("busy2-publish-http.per_s", DOCKER, 0.8, Some(1.0)),
    target("busy2-egress-connect.per_s", DOCKER, 0.8, Some(1.0)),
    target("busy2-publish-connect.per_s", DOCKER, 0.8, Some(1.0)),
    target("busy2-tcp1.cpu_s_per_gb", DOCKER, 1.1, Some(1.0)),
    target("busy2-tcp4.cpu_s_per_gb", DOCKER, 1.1, Some(1.0)),
    target("busy2-http.cpu_s_per_million", DOCKER, 1.1, Some(1.0)),
    target("busy2-connect.cpu_s_per_million", DOCKER, 1.1, Some(1.0)),
    target("busy2-redis1.cpu_s_per_million", DOCKER, 1.1, Some(1.0)),
    target("busy2-redis50.cpu_s_per_million", DOCKER, 1.1, Some(1.0)),
    target("busy2-http.hog_cpus", DOCKER, 0.95, Some(1.0)),
    cut_through("redis1.per_s", DOCKER, 1.1),
    cut_through("redis50.per_s", DOCKER, 1.5),
    cut_through("http.per_s", DOCKER, 1.4),
    cut_through("rtt-tcp.p50_us", DOCKER, 0.8),
    cut_through("rtt-tcp-epoll.p50_us", DOCKER, 0.8),
    cut_through("tcp1.gbps", DOCKER, 1.1),
    cut_through("tcp4.gbps", DOCKER, 2.0),
    cut_through("tcp4.cpu_s_per_gb", DOCKER, 0.6),
    cut_through("redis1.cpu_s_per_million", DOCKER, 0.6),
    cut_through("redis50.cpu_s_per_million", DOCKER, 0.6),
    cut_through("http.cpu_s_per_million", DOCKER, 0.6),
    cut_through("connect.per_s", WITHOUT, 0.95),
    cut_through("loopback-connect.per_s", WITHOUT, 0.95),
    cut_through("idle2.cpu_percent", Against::Above(VSWITCH), 0.05),
    cut_through("busy1-redis1.per_s", DOCKER, 1.3),
    cut_through("busy1-redis50.per_s", DOCKER, 1.6),
    cut_through("busy1-http.per_s", DOCKER, 1.3),
    cut_through("busy1-rtt-tcp.p50_us", DOCKER, 0.8),
    cut_through("busy1-rtt-tcp-epoll.p50_us", DOCKER, 0.8),
    cut_through("busy1-tcp1.gbps", DOCKER, 0.9),
    cut_through("busy1-tcp4.gbps", DOCKER, 1.0),
    cut_through("busy1-tcp4.cpu_s_per_gb", DOCKER, 0.8),
    cut_through("busy1-redis1.cpu_s_per_million", DOCKER, 0.8),
    cut_through("busy1-redis50.cpu_s_per_million", DOCKER, 0.8),
    cut_through("busy1-http.cpu_s_per_million", DOCKER, 0.8),
    cut_through("busy1-connect.per_s", WITHOUT, 0.95),
];

impl Target {
    /// Whether a contender of ours has to reach it.
    pub(crate) fn is_for(&self, own: &str) -> bool {
        self.own.map_or(own != VSWITCH_CUT_THROUGH, |name| name == own)
    }

    /// What the target speaks of (a ratio, a difference, a figure), for a contender of ours; none
    /// where either side was not measured.
    pub(crate) fn value(&self, outcome: &Outcome, own: &str) -> Option<f64> {
        let own = outcome.entry(own)?.spread(self.metric)?.median;
        let of = |name| Some(outcome.entry(name)?.spread(self.metric)?.median);
        match self.against {
            Against::Contender(name) => ratio(own, of(name)?),
            Against::BestUserSpace => {
                let metric = self.described(outcome)?;
                ratio(own, outcome.best_user_space(metric)?.1)
            }
            Against::Above(name) => Some(own - of(name)?),
            Against::Nothing => Some(own),
        }
    }

    /// Whether that is good enough.
    pub(crate) fn verdict(&self, better: Better, value: f64) -> Verdict {
        let holds = |limit: f64| match better {
            Better::Higher => value >= limit,
            Better::Lower => value <= limit,
        };
        if self.reach.is_some_and(holds) {
            Verdict::Reached
        } else if holds(self.least) {
            Verdict::Met
        } else {
            Verdict::Missed
        }
    }

    /// Its metric, where this run has it.
    pub(crate) fn described<'a>(&self, outcome: &'a Outcome) -> Option<&'a Metric> {
        outcome.metrics.iter().find(|metric| metric.key == self.metric)
    }

    pub(crate) fn against(&self) -> String {
        match self.against {
            Against::Contender(name) => format!("ratio to {name}"),
            Against::BestUserSpace => "ratio to the best in user space".to_owned(),
            Against::Above(name) => format!("above {name}"),
            Against::Nothing => "as measured".to_owned(),
        }
    }
}

/// None where it would divide by zero.
pub(crate) fn ratio(own: f64, other: f64) -> Option<f64> {
    (other > 0.0).then(|| own / other)
}

#[cfg(test)]
mod tests;
