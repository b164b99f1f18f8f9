//! More connections than there are SNAT ports: they share ports, and each gets its own answers.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::{FAR4, FAR6, HOST4, Process, Remote, wait_for};

use crate::harness::{Container, Host};

/// Two blocks.
const RANGE: &str = "20000-20127";

/// The same for each of two workers.
const RANGE_OF_TWO: &str = "20000-20255";

/// Connections of each container in `make soak`, from 20 containers to eight addresses with eight ports each: 10,000.
const SOAK: &str = "SOAK_CONNECTIONS";

/// Accepts and echoes: `FIRST-PORT LAST-PORT ADDR...`.
const SERVE: &str = "\
import resource, selectors, socket, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
ready = selectors.DefaultSelector()
def accept(listener):
    s = listener.accept()[0]
    ready.register(s, selectors.EVENT_READ, echo)
def echo(s):
    data = s.recv(64)
    if data: s.sendall(data)
    else: ready.unregister(s); s.close()
for address in sys.argv[3:]:
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    for port in range(int(sys.argv[1]), int(sys.argv[2]) + 1):
        s = socket.create_server((address, port), family=family, backlog=4096)
        ready.register(s, selectors.EVENT_READ, accept)
while True:
    for key, _ in ready.select(): key.data(key.fileobj)
";

/// Opens connections to each address and port in turn, then sends something of its own by each and waits for it to come
/// back, twice: `FILE COUNT FIRST-PORT LAST-PORT ADDR...`; writes into the file how many did.
const OPEN: &str = "\
import os, resource, socket, sys, time
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
path, count, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
ends = [(a, p) for p in range(first, last + 1) for a in sys.argv[5:]]
def write(text):
    with open(path + '.new', 'w') as file: file.write(text)
    os.rename(path + '.new', path)
try:
    held = [socket.create_connection(ends[n % len(ends)], timeout=400) for n in range(count)]
    for again in range(2):
        for n, s in enumerate(held): s.sendall(f'{path} {n} {again}'.encode().ljust(64))
        for n, s in enumerate(held):
            data = s.recv(64, socket.MSG_WAITALL)
            assert data == f'{path} {n} {again}'.encode().ljust(64), (n, data)
    write(f'{len(held)} echoed')
except Exception as error:
    write(repr(error))
time.sleep(600)
";

/// The connections that a client opens.
struct Job<'a> {
    count: usize,
    ports: [u16; 2],
    far: &'a [IpAddr],
}

impl Job<'_> {
    fn args(&self) -> Vec<String> {
        let ports = self.ports.iter().map(u16::to_string);
        ports.chain(self.far.iter().map(IpAddr::to_string)).collect()
    }

    fn serve(&self, remote: &Remote) -> Process {
        let args = self.args();
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        remote.far().spawn(&[&["python3", "-c", SERVE][..], &words].concat())
    }

    fn open(&self, container: &Container, file: &Path) -> Process {
        let mut args = vec![file.display().to_string(), self.count.to_string()];
        args.extend(self.args());
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        container.spawn(&[&["python3", "-c", OPEN][..], &words].concat())
    }
}

fn wait_for_servers(remote: &Remote, count: usize) {
    wait_for("the servers listen", Duration::from_secs(20), || {
        remote.far().ok(&["ss", "-ltnH"]).lines().filter(|line| line.contains(":71")).count()
            >= count
    });
}

/// Opens them from all containers at once, and waits until all carried data.
#[track_caller]
fn open_all(host: &Host, containers: &[Container], job: &Job<'_>, limit: Duration) -> Vec<Process> {
    let files: Vec<PathBuf> =
        (0..containers.len()).map(|n| host.path(&format!("opened-{n}"))).collect();
    let clients = containers.iter().zip(&files).map(|(it, file)| job.open(it, file)).collect();
    wait_for("all connections carry data", limit, || files.iter().all(|file| file.exists()));
    for file in files {
        let said = std::fs::read_to_string(&file).expect("what was written");
        assert_eq!(said, format!("{} echoed", job.count), "{}", file.display());
    }
    clients
}

fn sharing(host: &Host) -> (usize, usize) {
    let status = host.status();
    (status.uplinks[0].connections, status.uplinks[0].connections_sharing)
}

/// Connections of containers that have two blocks for two of them.
#[track_caller]
fn connections_share(range: &str, workers: usize) {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    let number = workers.to_string();
    host.up(&["--uplink", "auto", "--snat-ports", range, "--workers", &number]);
    let containers: Vec<_> = (0..2 * workers).map(|n| host.container(&format!("c{n}"))).collect();
    // Of each container 40 to each of six ports of two addresses: 80 of 128 ports.
    let job = Job { count: 480, ports: [7100, 7105], far: &[FAR4, FAR6] };
    let _server = job.serve(&remote);
    wait_for_servers(&remote, 12);
    let clients = open_all(&host, &containers, &job, Duration::from_secs(60));
    let (connections, shared) = sharing(&host);
    let is_enough = connections >= 960 * workers && shared >= 600 * workers;
    assert!(is_enough, "{shared} of {connections} share");
    let of_workers: Vec<_> = host.stats().workers.iter().map(|it| it.connections_shared).collect();
    assert_eq!(of_workers.len(), workers);
    assert!(of_workers.iter().sum::<u64>() >= shared as u64, "{of_workers:?}");
    assert!(of_workers.iter().all(|shared| *shared >= 300), "each has a part: {of_workers:?}");
    assert!(host.ok(&["status"]).contains(" of them share ports"), "{}", host.ok(&["status"]));
    // From outside a shared port is nobody's but its peers', at whatever worker the packet comes in.
    for port in [20001, 20065, 20126] {
        let connect = format!("echo >/dev/tcp/{HOST4}/{port}");
        let stranger = remote.far().exec(&["timeout", "5", "bash", "-c", &connect]);
        assert!(!stranger.status.success(), "a stranger gets in by {port}");
    }
    drop(clients);
    wait_for("ports are free again", Duration::from_secs(20), || {
        let _ = host.vswitch(&["conntrack", "flush"]);
        sharing(&host).1 == 0
    });
    host.balanced();
}

#[test]
fn connections_to_several_destinations_share_the_ports_of_two_blocks() {
    connections_share(RANGE, 1);
}

/// Each worker has blocks of its own, and containers of its own: answers that another one reads are handed off to it.
#[test]
fn connections_of_two_workers_share_the_ports_of_their_blocks() {
    connections_share(RANGE_OF_TWO, 2);
}

/// The number of the issue, where `make soak` asks for it.
#[test]
fn two_hundred_thousand_connections_from_twenty_containers() {
    let Ok(each) = std::env::var(SOAK) else { return };
    let count: usize = each.parse().expect("a number of connections");
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    let far: Vec<IpAddr> = (11..19).map(|last| [198, 51, 100, last].into()).collect();
    for address in &far {
        remote.far().run_lines(&[&format!("ip addr add {address}/24 dev up0")]);
    }
    remote.far().set_sysctl("net/core/somaxconn", "4096");
    host.up(&["--uplink", "auto"]);
    let containers: Vec<_> = (0..20).map(|n| host.container(&format!("c{n}"))).collect();
    // A process has few enough of them for its limit of open files.
    let of_server = |n: u16| Job { count, ports: [7100 + n % 8, 7100 + n % 8], far: &far };
    let halves = |n: u16| if n < 8 { &far[..4] } else { &far[4..] };
    let _servers: Vec<Process> =
        (0..16).map(|n| Job { far: halves(n), ..of_server(n) }.serve(&remote)).collect();
    wait_for_servers(&remote, 64);
    let job = Job { count, ports: [7100, 7107], far: &far };
    let start = std::time::Instant::now();
    let _clients = open_all(&host, &containers, &job, Duration::from_secs(500));
    let (connections, shared) = sharing(&host);
    let file = format!("/proc/{}/status", host.daemon_pid());
    let memory = std::fs::read_to_string(file).expect("the daemon");
    let resident = memory.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    eprintln!("{connections} connections, {shared} share ports, {:?}; {resident}", start.elapsed());
    assert!(connections >= 20 * count);
    host.balanced();
}
