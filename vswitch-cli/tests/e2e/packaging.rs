//! What `make install` and the package put where, and the unit of systemd, run by a real systemd.
//!
//! `VSWITCH_DEB` names a package (`make e2e-deb`), which is then installed instead, and purged at the end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::{COMMAND_TIMEOUT, Output, run, wait_for};

use crate::pages::machine::Machine;

const SOON: Duration = Duration::from_secs(10);

/// Exposure that `systemd-analyze security` may find, times ten: a switch of the host's network is not nothing.
const EXPOSURE_MAX: &str = "42";

/// A unit with the limits of the switch's own that writes to files as engines have them: of a container whose root is
/// another user of the host, and of a rootless engine, in a file system that is there before the unit.
const WRITER: &str = "set -e
docker=/var/lib/docker/100000.100000/resolv.conf rootless=/run/user/1000/resolv.conf
mkdir -p /run/user/1000
mount -t tmpfs -o mode=700 tmpfs /run/user/1000
for file in $docker $rootless; do install -D -m 600 -o 100000 /dev/null $file; done
sed -e 's/^Type=.*/Type=oneshot/; s/^Restart=.*//' \
  -e \"s|^ExecStart=.*|ExecStart=/bin/sh -c 'echo docker >>$docker; echo rootless >>$rootless'|\" \
  /usr/lib/systemd/system/vswitch.service >/run/systemd/system/writer.service
systemctl start writer || journalctl --no-pager --unit=writer
cat $docker $rootless";

/// Where Docker looks for plugins; its folder is not there before Docker is.
const PLUGIN: &str = "/run/docker/plugins/vswitch.sock";

/// A root file system: an overlay of the machine's own, with the switch installed.
const ROOT: &str =
    "cd \"$1\"; mkdir over; mount -t tmpfs tmpfs over; mkdir over/upper over/work over/system
mount -t overlay overlay -o lowerdir=/,upperdir=over/upper,workdir=over/work over/system
printf '%s\n' nameserver 192.0.2.53 >over/system/etc/resolv.conf";

/// The unit permits the backend of packet I/O that the machine has.
const BACKEND: &str =
    "vswitch --format json status | grep --only-matching '\"backend\": *\"io_uring\"'";

const MAIN_PID: [&str; 5] = ["systemctl", "show", "--property=MainPID", "--value", "vswitch"];

/// Kernel settings of the host that the switch changes.
const SYSCTLS: [&str; 4] = [
    "sysctl",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_forward",
    "net.ipv6.conf.all.forwarding",
];

/// A command in the system that runs there.
const INSIDE: &str = "exec nsenter --target $(pgrep --parent $(pgrep --oldest systemd-nspawn)) \
                      --mount --pid --net --uts \"$@\"";

/// A machine in which systemd runs another one.
struct System {
    machine: Machine,
    root: PathBuf,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository")
}

/// `scripts/install.sh` with these arguments.
fn installer(args: &[&str]) -> Vec<String> {
    let script = repository().join("scripts/install.sh").display().to_string();
    [script].into_iter().chain(args.iter().map(|arg| (*arg).to_owned())).collect()
}

/// The folder with the programs that cargo has built.
fn binaries() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_vswitch"));
    program.parent().expect("a folder").display().to_string()
}

impl System {
    #[track_caller]
    fn boot() -> Self {
        let mut machine = Machine::new();
        let folder = machine.folder().join("home").display().to_string();
        machine.ok(&["bash", "-ec", ROOT, "root", &folder]);
        let root = Path::new(&folder).join("over/system");
        let system = root.display().to_string();
        match std::env::var("VSWITCH_DEB") {
            Ok(deb) => drop(machine.ok(&["cp", &deb, &format!("{system}/vswitch.deb")])),
            Err(_) => {
                let install = installer(&["install", &binaries(), "/usr", &system]);
                machine.ok(&install.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
        let directory = format!("--directory={system}");
        let nspawn = [
            &["env", "SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes", "systemd-nspawn", "--quiet"][..],
            &[
                &directory,
                "--register=no",
                "--keep-unit",
                "--network-namespace-path=/proc/1/ns/net",
            ],
            &["--bind=/dev/net/tun", "--capability=all", "--boot"],
            &["--system-call-filter=io_uring_setup io_uring_enter io_uring_register"],
            &["systemd.unit=sysinit.target"],
        ]
        .concat();
        let answers = ["sh", "-c", INSIDE, "inside", "systemctl", "is-active", "sysinit.target"];
        machine.start(&nspawn, &answers);
        let system = Self { machine, root };
        // nspawn puts an id of its own over that of the boot, which units do not see.
        system.ok(&["umount", "/proc/sys/kernel/random/boot_id"]);
        if std::env::var("VSWITCH_DEB").is_ok() {
            system.ok(&["dpkg", "--install", "/vswitch.deb"]);
        }
        system
    }

    fn exec(&self, args: &[&str]) -> Output {
        let command = [&["sh", "-c", INSIDE, "inside"][..], args].concat();
        run(&mut self.machine.command(&command), b"", COMMAND_TIMEOUT)
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let output = self.exec(args);
        let journal = ["journalctl", "--unit=vswitch", "--no-pager"];
        assert!(output.status.success(), "{output}{}", self.exec(&journal));
        output.stdout
    }

    fn shows(&self, args: &[&str], text: &str) -> bool {
        self.exec(args).stdout.contains(text)
    }
}

/// The unit is hardened, and the switch still does what it is for.
#[test]
fn systemd_runs_the_switch() {
    let system = System::boot();
    let machine = system.machine.net();
    let sysctls = system.ok(&SYSCTLS);
    let plugin = format!("echo 'docker_plugin = \"{PLUGIN}\"' >>/etc/vswitch/vswitch.toml");
    system.ok(&["sh", "-c", &plugin]);
    system.ok(&["systemctl", "start", "vswitch"]);
    system.ok(&["test", "-S", PLUGIN]);
    let status = system.ok(&["systemctl", "show", "vswitch", "--property=StatusText"]);
    assert!(status.contains("br0 at 10.99.0.1"), "{status}");
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    system.ok(&["systemd-analyze", "security", "--no-pager", &threshold, "vswitch"]);
    system.ok(&["systemd-analyze", "verify", "/usr/lib/systemd/system/vswitch.service"]);

    assert_eq!(system.ok(&["sh", "-c", WRITER]), "docker\nrootless\n");

    // A name that was made after the start, a port below 1024, and the namespace of another user's process.
    system.ok(&["ip", "netns", "add", "web"]);
    system.ok(&["vswitch", "attach", "--netns", "web", "--name", "web", "-p", "80:80"]);
    system.ok(&["ip", "netns", "exec", "web", "busybox", "httpd", "-h", "/usr/share/doc/vswitch"]);
    let fetch = ["curl", "--silent", "--max-time", "5", "http://192.0.2.1/README.md"];
    assert!(machine.lan().ok(&fetch).contains("vswitch"));
    let user = "setsid setpriv --reuid=65534 --clear-groups unshare --user --net sleep 99 >&- 2>&- & echo $!";
    let pid = system.ok(&["sh", "-c", user]);
    wait_for("the user's namespace is there", SOON, || {
        let own =
            format!("test $(readlink /proc/{}/ns/net) != $(readlink /proc/1/ns/net)", pid.trim());
        system.exec(&["sh", "-c", &own]).status.success()
    });
    system.ok(&["vswitch", "attach", "--netns", pid.trim(), "--name", "user"]);
    let names = ["vswitch", "ls", "-q"];
    assert_eq!(system.ok(&names), "user\nweb\n");
    assert!(system.ok(&["vswitch", "logs"]).contains("the switch is up"), "by the journal");
    system.ok(&["sh", "-c", BACKEND]);

    // Killed, it comes back with all of them.
    let first = system.ok(&MAIN_PID);
    system.ok(&["systemctl", "kill", "--signal=KILL", "vswitch"]);
    wait_for("the switch is back", SOON, || {
        let pid = system.ok(&MAIN_PID);
        pid != first && pid != "0\n" && system.shows(&names, "user\nweb\n")
    });
    assert!(machine.lan().ok(&fetch).contains("vswitch"));

    // Told to end, it stays down, and the host is as before.
    system.ok(&["vswitch", "down"]);
    wait_for("the unit ends", SOON, || {
        system.shows(&["systemctl", "show", "vswitch", "--property=ActiveState"], "=inactive")
    });
    assert_eq!(machine.netns().links(), ["nic0"]);
    assert_eq!(system.ok(&["nft", "list", "tables"]), "");
    assert_eq!(system.ok(&SYSCTLS), sysctls);
    system.ok(&["systemctl", "start", "vswitch"]);
    assert_eq!(system.ok(&names), "user\nweb\n");
    match std::env::var("VSWITCH_DEB") {
        Ok(_) => system.purge(&sysctls),
        Err(_) => drop(system.ok(&["systemctl", "stop", "vswitch"])),
    }
    assert_eq!(machine.netns().links(), ["nic0"]);
}

impl System {
    /// Removing the package restores the host, after a crash, too; purging it leaves nothing.
    #[track_caller]
    fn purge(&self, sysctls: &str) {
        let is_restored = || {
            assert_eq!(self.machine.net().netns().links(), ["nic0"]);
            assert_eq!(self.ok(&["nft", "list", "tables"]), "");
            assert_eq!(self.ok(&SYSCTLS), sysctls);
        };
        self.ok(&["dpkg", "--remove", "vswitch"]);
        is_restored();
        self.ok(&["dpkg", "--install", "/vswitch.deb"]);
        self.ok(&["systemctl", "start", "vswitch"]);
        let no_restart = "mkdir /run/systemd/system/vswitch.service.d
            printf '[Service]\nRestart=no\n' >/run/systemd/system/vswitch.service.d/no.conf
            systemctl daemon-reload
            systemctl kill --signal=KILL vswitch";
        self.ok(&["sh", "-ec", no_restart]);
        wait_for("the switch is dead", SOON, || self.ok(&MAIN_PID) == "0\n");
        assert_ne!(self.ok(&["nft", "list", "tables"]), "", "a killed switch leaves its table");
        self.ok(&["rm", "-r", "/run/systemd/system/vswitch.service.d"]);
        self.ok(&["dpkg", "--remove", "vswitch"]);
        is_restored();
        // A configuration stays.
        self.ok(&["test", "-e", "/etc/vswitch/vswitch.toml"]);
        self.ok(&["dpkg", "--purge", "vswitch"]);
        let upper = self.root.with_file_name("upper").display().to_string();
        self.ok(&["test", "!", "-e", "/run/vswitch"]);
        self.ok(&["test", "!", "-e", "/opt/cni/bin/vswitch-cni"]);
        // Not the cache of man(1), which systemd-analyze asked.
        let ours = "find \"$0\" -name '*vswitch*' -not -path '*/var/cache/man/*'";
        let left = self.machine.ok(&["sh", "-c", ours, &upper]);
        let left: Vec<_> = left.lines().filter(|line| !line.ends_with("/vswitch.deb")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn uninstall_removes_what_install_put() {
    let dir = tempfile::Builder::new().prefix("vswt-").tempdir().expect("a directory");
    let root = dir.path().display().to_string();
    let run_script = |args: &[&str]| {
        let script = installer(args);
        let mut command = std::process::Command::new(&script[0]);
        run(command.args(&script[1..]), b"", COMMAND_TIMEOUT).ok()
    };
    let files = || {
        let find = ["-c", "cd \"$0\" && find . -not -type d | sort", &root];
        run(std::process::Command::new("sh").args(find), b"", COMMAND_TIMEOUT).ok()
    };
    run_script(&["install", &binaries(), "/usr/local", &root]);
    let installed = files();
    let wanted = [
        "./etc/vswitch/vswitch.toml",
        "./opt/cni/bin/vswitch-cni",
        "./usr/local/bin/vswitch",
        "./usr/local/lib/cni/vswitch-cni",
        "./usr/local/lib/netavark/vswitch",
        "./usr/local/lib/systemd/system/vswitch.service",
        "./usr/local/share/bash-completion/completions/vswitch",
        "./usr/local/share/doc/vswitch/install.md",
        "./usr/local/share/fish/vendor_completions.d/vswitch.fish",
        "./usr/local/share/man/man1/vswitch-up.1",
        "./usr/local/share/zsh/site-functions/_vswitch",
    ];
    for file in wanted {
        assert!(installed.lines().any(|line| line == file), "no {file} in\n{installed}");
    }
    let unit = dir.path().join("usr/local/lib/systemd/system/vswitch.service");
    let unit = std::fs::read_to_string(unit).expect("the unit");
    assert!(
        unit.contains("ExecStart=/usr/local/bin/vswitch up --config /etc/vswitch/vswitch.toml")
    );
    run_script(&["uninstall", "/usr/local", &root]);
    assert_eq!(files(), "", "files are left");

    // A configuration that somebody changed survives both.
    run_script(&["install", &binaries(), "/usr/local", &root]);
    let config = dir.path().join("etc/vswitch/vswitch.toml");
    std::fs::write(&config, "mtu = 9000\n").expect("a file");
    run_script(&["install", &binaries(), "/usr/local", &root]);
    run_script(&["uninstall", "/usr/local", &root]);
    assert_eq!(files(), "./etc/vswitch/vswitch.toml\n");
    assert_eq!(std::fs::read_to_string(config).expect("the file"), "mtu = 9000\n");
}
