//! Every limit of the harness, by name.

use std::time::Duration;

/// How long a command that sets something up may take.
pub(crate) const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// What a load may take beyond the time that it was asked to run.
pub(crate) const LOAD_GRACE: Duration = Duration::from_secs(10);

/// How long a server or a daemon may take until it answers.
pub(crate) const READY_LIMIT: Duration = Duration::from_secs(20);

/// How long a daemon that was asked to end may take before it is killed.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(10);

/// CPUs that processes beside the harness's may use while a figure is measured.
pub(crate) const FOREIGN_CPUS_MAX: f64 = 0.05;

/// How often a figure is measured again because they used more.
pub(crate) const TURN_REPEATS: usize = 2;

/// How long the processes of a control group may take to end after they were killed.
pub(crate) const GROUP_EMPTY_LIMIT: Duration = Duration::from_secs(2);

/// Real-time scheduling that a switch's group may be granted, of each second in microseconds: the first that
/// the kernel accepts, which divides 950,000 between all groups by default.
pub(crate) const REAL_TIME_US: [u32; 3] = [800_000, 400_000, 100_000];

/// Between two looks at something that is awaited.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// Ports of a contender that costs little per port.
pub(crate) const PORTS_MAX: usize = 1000;

/// Containers of a real Docker daemon: each takes half a second and several processes.
pub(crate) const DOCKER_PORTS_MAX: usize = 20;

/// Between two bursts of the paced sender. Not a part of the kernel's tick (1, 4 or 10 ms), which would
/// sample the CPU time of a sender in step with it always at the same phase.
pub(crate) const TICK: Duration = Duration::from_micros(257);

/// Timer slack of the paced sender; the kernel's default is 50 us.
pub(crate) const TIMER_SLACK_NS: u64 = 1_000;

/// Rates between which the UDP search looks, in frames per second.
pub(crate) const UDP_PPS_MIN: f64 = 4_000.0;
/// See [`UDP_PPS_MIN`].
pub(crate) const UDP_PPS_MAX: f64 = 400_000.0;

/// Steps of the search: the interval halves (on a logarithmic scale) each time, so eight steps
/// leave 1.8 % of uncertainty.
pub(crate) const UDP_STEPS: u32 = 8;

/// Length of one trial of the search.
pub(crate) const UDP_TRIAL: Duration = Duration::from_millis(300);

/// A trial passes with at most this share lost (RFC 2544 says none; the issue allows 0.1 %).
pub(crate) const UDP_LOSS_MAX: f64 = 0.001;

/// A sender that stays below this share of the rate that it was asked for has not reached it.
pub(crate) const UDP_RATE_REACHED: f64 = 0.99;

/// Attempts at each rate: one hiccup of the machine does not condemn a rate.
pub(crate) const UDP_ATTEMPTS: u32 = 2;

/// What the last frames of a trial may take through the queues.
pub(crate) const UDP_DRAIN: Duration = Duration::from_millis(30);

/// Clients of the connection benchmark that run side by side.
pub(crate) const CONNECT_CLIENTS: usize = 4;

/// Requests that `redis-benchmark` is given: more than it can do before it is ended.
pub(crate) const REDIS_REQUESTS: u64 = 1_000_000_000;

/// Connections that `wrk` keeps open.
pub(crate) const HTTP_CONNECTIONS: usize = 16;

/// Messages on their way at once in the loaded round-trip benchmark.
pub(crate) const OUTSTANDING: usize = 32;

/// How long a message of the round-trip benchmark may be away before it counts as lost.
pub(crate) const MESSAGE_LIMIT: Duration = Duration::from_millis(200);

/// Questions a second at which the times of DNS answers are looked at.
pub(crate) const NAMES_PER_S: u32 = 2_000;

/// Containers of which a name is looked up before a load.
pub(crate) const NAMES_CHECKED: usize = 3;

/// How often a network of few names and one of many take turns.
pub(crate) const NAMES_COMPARISONS: usize = 7;

/// Silence before the idle switch is watched.
pub(crate) const IDLE_SETTLE: Duration = Duration::from_secs(3);

/// Single echoes, each after half a second of silence.
pub(crate) const FIRST_FRAMES: u32 = 10;

/// The last attaches of a run with many ports, of which the median is reported.
pub(crate) const ATTACHES_COUNTED: usize = 20;

/// How long the kernel may take to free what deleted namespaces held.
pub(crate) const MEMORY_SETTLE_MAX: Duration = Duration::from_secs(15);

/// Memory that moves by less than this between two looks has settled.
pub(crate) const MEMORY_STILL_KIB: u64 = 256;

/// How long an echo may take to come back, with attempts that are repeated.
pub(crate) const ECHO_LIMIT: Duration = Duration::from_secs(10);

/// Pairs, drawn by lot, between which an echo has to pass where there are many ports.
pub(crate) const PAIRS_TRIED: usize = 10;

/// IPv4 neighbours that the kernel may hold while every one of many ports is tried.
pub(crate) const NEIGHBOURS_MAX: u32 = 16_384;

/// How often two switches, or calm and attack, take turns within a workload that compares them.
pub(crate) const COMPARISONS: usize = 3;

/// How long an attack goes on before what it does is measured, and the pause after it.
pub(crate) const ATTACK_LEAD: Duration = Duration::from_millis(300);

/// MAC addresses that a flooder pretends to have: far more than a table holds, and no more, since a
/// kernel's bridge keeps them all.
pub(crate) const MACS_FORGED: u64 = 1 << 20;

/// Frames that an attacker sends before it adds them to its count.
pub(crate) const ATTACK_BATCH: u64 = 64;

/// The longest frame of an attacker.
pub(crate) const ATTACK_FRAME_MAX: usize = 128;

/// Round trips of a cache line that are timed together, and how often.
pub(crate) const DISTANCE_TRIPS: u64 = 2_000;
/// See [`DISTANCE_TRIPS`].
pub(crate) const DISTANCE_SAMPLES: usize = 25;

/// Rounds that rows which say less, and contenders beside the main ones, take part in: a whole run of five has
/// 40 minutes.
pub(crate) const FEW_ROUNDS: usize = 3;
