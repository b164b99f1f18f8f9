//! Many containers: everybody reaches everybody, and an idle switch costs nothing.

use std::net::IpAddr;
use std::time::Duration;

use crate::harness::{Container, Host};

const CONTAINERS: usize = 20;

fn crowd(host: &Host) -> Vec<Container> {
    (0..CONTAINERS).map(|n| host.container(&format!("c{n}"))).collect()
}

/// One echo to each address by one shell, which is quicker than a process each.
#[track_caller]
fn reaches_all(from: &Container, addresses: &[IpAddr]) {
    let list: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
    let script = "for a; do ping -nqc1 -W2 $a >/dev/null || echo $a; done";
    let mut command = vec!["sh", "-c", script, "sh"];
    command.extend(list.iter().map(String::as_str));
    let output = from.exec_within(&command, Duration::from_secs(120));
    assert_eq!(output.stdout, "", "{} does not reach these\n{output}", from.name());
}

#[test]
fn any_pair_talks() {
    let host = Host::with_switch();
    let crowd = crowd(&host);
    let v4: Vec<_> = crowd.iter().map(Container::v4).collect();
    let v6: Vec<_> = crowd.iter().map(Container::v6).collect();
    for (n, container) in crowd.iter().enumerate() {
        reaches_all(container, &v4);
        // Each IPv6 pair once.
        reaches_all(container, &v6[n..]);
    }
    assert_eq!(host.ls().len(), CONTAINERS);
    let drops = host.stats().drops;
    assert!(!drops.keys().any(|reason| reason.starts_with("tx-")), "{drops:?}");
}

#[test]
fn a_broadcast_reaches_everybody_once() {
    let host = Host::with_switch();
    let crowd = crowd(&host);
    for container in &crowd {
        container.ok(&["sh", "-c", "echo 0 > /proc/sys/net/ipv4/icmp_echo_ignore_broadcasts"]);
    }
    let asker = &crowd[0];
    let output = asker.exec(&["ping", "-n", "-b", "-c2", "-i1", "-W2", "10.99.255.255"]);
    // Answers to the second request are not waited for.
    let first: Vec<_> = output.stdout.lines().filter(|l| l.contains("icmp_seq=1 ")).collect();
    for other in &crowd[1..] {
        let from = format!("from {}:", other.v4());
        let answers = first.iter().filter(|line| line.contains(&from)).count();
        assert_eq!(answers, 1, "answers of {}: {output}", other.v4());
    }
    let output = asker.exec(&["ping", "-n", "-c2", "-i1", "-W2", "ff02::1%eth0"]);
    assert!(output.stdout.matches("icmp_seq=1 ").count() >= CONTAINERS, "{output}");
}

/// A loose ceiling; what is reached is measured by `make bench`.
#[test]
fn an_idle_switch_uses_no_cpu() {
    let host = Host::with_switch();
    let crowd = crowd(&host);
    crowd[0].ping(crowd[1].v4());
    // New interfaces send router solicitations and multicast reports for a while.
    std::thread::sleep(Duration::from_secs(5));
    let (seconds, before) = (4.0, cpu_seconds(host.daemon_pid()));
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let used = cpu_seconds(host.daemon_pid()) - before;
    assert!(used / seconds < 0.05, "{:.1} % of a CPU", used / seconds * 100.0);
}

/// CPU time of all threads, also of those that have ended: fields 14 and 15 of proc_pid_stat(5), in
/// hundredths of a second.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat of the daemon");
    let fields = stat.rsplit(')').next().expect("what follows the name").split_whitespace();
    let ticks: Vec<f64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    ticks.iter().sum::<f64>() / 100.0
}
