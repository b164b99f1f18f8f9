//! Commands in a sandbox. Needs root.

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use testkit::wait_for;
use vswitch::isolate::{Mode, Sandbox, exit_code};

use crate::lab::Lab;

/// Runs a shell script in a sandbox; gives its end and what it wrote to `$OUT`.
fn sh(sandbox: Sandbox, script: &str) -> (ExitStatus, String) {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let script = format!("exec > {}; {script}", out.display());
    let status = sandbox.run("sh", &[OsString::from("-c"), script.into()]).unwrap();
    (status, std::fs::read_to_string(out).unwrap_or_default())
}

fn sandbox() -> Sandbox {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root");
    Sandbox::new(Mode::New).unwrap()
}

#[test]
fn a_new_sandbox_has_only_lo_and_it_is_up() {
    let sandbox = sandbox();
    let path = sandbox.netns_path().unwrap().to_owned();
    let inside = std::fs::read_link(&path).unwrap();
    assert_ne!(inside, std::fs::read_link("/proc/self/ns/net").unwrap());
    let script =
        "readlink /proc/self/ns/net; ip -o link; ls /sys/class/net; ls /sys/fs/cgroup | wc -l";
    let (status, out) = sh(sandbox, script);
    assert!(status.success());
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(Path::new(lines[0]), inside);
    assert!(lines[1].contains("lo:") && lines[1].contains("UP"), "{out}");
    assert_eq!(lines[2], "lo", "{out}");
    assert_ne!(lines[3], "0", "control groups stay visible: {out}");
    assert!(!path.exists(), "the sandbox is gone");
}

#[test]
fn hosts_and_resolv_conf_are_private_and_are_cleaned_up() {
    let outside = std::fs::read_to_string("/etc/hosts").unwrap();
    let sandbox = sandbox();
    let address: IpAddr = "10.99.0.2".parse().unwrap();
    sandbox.set_hosts(&[(address, vec!["other".into(), "much-longer-than-web".into()])]).unwrap();
    sandbox.set_hosts(&[(address, vec!["web".into()])]).unwrap();
    // The mounts keep the files; by name there is nothing, so nothing stays even if we are killed.
    // Other tests of this process may be making theirs at this moment.
    let own = format!("vswitch-run-{}-", std::process::id());
    wait_for("no file is left by name", Duration::from_secs(10), || {
        let names = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
        names.filter(|e| e.file_name().to_string_lossy().starts_with(&own)).count() == 0
    });
    let (_, out) =
        sh(sandbox, "cat /etc/hosts; echo ---; cat /etc/resolv.conf; echo x >> /etc/hosts");
    assert!(out.contains("10.99.0.2\tweb\n---"), "{out}");
    assert!(out.contains("localhost"), "{out}");
    assert_eq!(std::fs::read_to_string("/etc/hosts").unwrap(), outside);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains("/etc/hosts"), "{mounts}");
}

#[test]
fn exit_codes_and_signals_of_the_command_are_passed_on() {
    for (script, code) in
        [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -9 $$", 137)]
    {
        let (status, _) = sh(sandbox(), script);
        assert_eq!(exit_code(status), code, "{script}");
    }
    let error = sandbox().run("/no/such/program", &[]).unwrap_err();
    assert_eq!(error.exit_code(), 127);
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    let error = sandbox().run("/etc/hosts", &[]).unwrap_err();
    assert_eq!(error.exit_code(), 126);
}

#[test]
fn a_sandbox_can_join_another_namespace() {
    let mut lab = Lab::new();
    let a = lab.add_namespace("a");
    let path = Path::new("/run/netns").join(a);
    let sandbox = Sandbox::new(Mode::Join(path.clone())).unwrap();
    let (_, out) = sh(sandbox, "stat -L -c %i /proc/self/ns/net; ls /sys/class/net");
    let inode = std::fs::metadata(&path).unwrap().ino();
    assert_eq!(out, format!("{inode}\nlo\n"));
    let error = Sandbox::new(Mode::Join("/no/such".into())).unwrap_err();
    assert!(error.to_string().contains("/no/such"), "{error}");
}

#[test]
fn on_the_host_the_command_is_just_run() {
    let sandbox = Sandbox::new(Mode::Host).unwrap();
    assert_eq!(sandbox.netns_path(), None);
    sandbox.set_hosts(&[]).unwrap();
    let (_, out) = sh(sandbox, "readlink /proc/self/ns/net");
    assert_eq!(Path::new(out.trim()), std::fs::read_link("/proc/self/ns/net").unwrap());
}
