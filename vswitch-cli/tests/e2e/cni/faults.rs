//! What goes wrong, and what is left behind: nothing.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use testkit::{COMMAND_TIMEOUT, Netns, Process, wait_for};

use super::runtime::{Runtime, nothing_is_left, race};
use crate::harness::Host;

#[test]
fn a_refused_add_leaves_nothing() {
    let host = Host::with_switch();
    let runtime = Runtime::new(&host, "1.0.0", json!({}));
    let (first, netns) = (host.namespace("first"), host.namespace("pod"));
    let port = json!([{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }]);
    let web = json!({ "ips": ["10.99.0.80"], "portMappings": port, "mac": "02:00:00:00:00:80" });
    runtime.with(json!({ "runtimeConfig": web })).add("first", &first).ok();
    for (fields, code, value) in [
        (json!({ "network": "blue" }), 7, "blue"),
        (json!({ "network": 7 }), 7, "network: 7"),
        (json!({ "bridge": "cni0" }), 2, "bridge: \"cni0\""),
        (json!({ "create": { "subnet": "x" }, "network": "x" }), 2, "create.subnet: \"x\""),
        (json!({ "cniVersion": "0.2.0" }), 1, "0.2.0"),
        (json!({ "runtimeConfig": { "ips": ["10.99.0.80"] } }), 100, "10.99.0.80"),
        (json!({ "runtimeConfig": { "ips": ["192.0.2.80"] } }), 7, "192.0.2.80"),
        (json!({ "runtimeConfig": { "mac": "02:00:00:00:00:80" } }), 100, "02:00:00:00:00:80"),
        (json!({ "runtimeConfig": { "portMappings": port } }), 100, "8080:80/tcp"),
        (json!({ "ipam": { "type": "none-such" } }), 7, "none-such"),
    ] {
        runtime.with(fields).add("pod", &netns).fails(code, value);
        assert_eq!(netns.links(), Vec::<String>::new());
        assert_eq!(host.ls().len(), 1);
    }
    runtime.add_with("pod", &netns, "X=1").fails(4, "CNI_ARGS: X=1 is unknown");
    // Twice: the first one stays.
    let answer = runtime.add("first", &first).fails(100, "container first is attached already");
    assert!(answer.contains("call DEL"), "{answer}");
    assert!(first.links() == ["eth0"] && host.ls().len() == 1);
    // From another namespace, too, where an id has several names.
    let id = "0123456789abcdef0123456789abcdef";
    runtime.add(id, &netns).ok();
    let other = host.namespace("other");
    runtime.add(id, &other).fails(100, "is attached already");
    assert_eq!(other.links(), Vec::<String>::new());
    runtime.del(id, None).ok();
    // The namespace is gone, no namespace, or the host's own.
    let call = |path: &str| runtime.call(runtime.command("ADD", "pod", Some(Path::new(path))));
    call("/run/netns/vswt-gone").fails(3, "/run/netns/vswt-gone");
    call("/etc/passwd").fails(7, "/etc/passwd");
    call(&host.netns().path().display().to_string()).fails(7, "the switch's own");
    call("relative").fails(4, "CNI_NETNS relative");
    runtime.call(runtime.command("ADD", "a/b", Some(netns.path()))).fails(4, "\"a/b\"");
    runtime.call(runtime.command("add", "a", Some(netns.path()))).fails(4, "\"add\"");
    runtime.del("first", None).ok();
    nothing_is_left(&host, &[&first, &netns]);
}

/// Runtimes that race for one name: both are attached, one by the name, both by the alias.
#[test]
fn two_runtimes_race_for_a_name() {
    let host = Host::with_switch();
    let runtimes = ["a", "b"].map(|name| Runtime::new(&host, "1.0.0", json!({ "name": name })));
    let spaces = [host.namespace("a"), host.namespace("b")];
    let ids = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"];
    let call = |((runtime, netns), id): ((&Runtime<'_>, &Netns), &str)| {
        let mut command = runtime.command("ADD", id, Some(netns.path()));
        command.env("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAME=web-0;K8S_POD_NAMESPACE=shop");
        (command, runtime.input())
    };
    race(runtimes.iter().zip(&spaces).zip(ids).map(call).collect());
    let mut names: Vec<_> = host.ls().into_iter().map(|port| port.name).collect();
    names.sort();
    let other = names.iter().find(|name| *name != "web-0").expect("two names").clone();
    assert!(names.contains(&"web-0".to_owned()) && other.len() == 13, "{names:?}");
    assert_eq!(host.inspect(&other).port.aliases, ["web-0", "web-0.shop"]);
    let gateway = host.inspect("web-0").gateways[0].to_string();
    for name in ["web-0", "web-0.shop"] {
        let query = ["dig", "+short", &format!("@{gateway}"), name];
        assert_eq!(spaces[0].ok(&query).lines().count(), 2, "{name}");
    }
    for (runtime, id) in runtimes.iter().zip(ids) {
        runtime.del(id, None).ok();
    }
    nothing_is_left(&host, &spaces.each_ref());
}

#[test]
fn without_the_switch_each_operation_says_how_to_start_it() {
    let mut host = Host::new();
    let (netns, kept) = (host.namespace("pod"), host.namespace("kept"));
    {
        let runtime = Runtime::new(&host, "1.1.0", json!({}));
        let advice = runtime.add("pod", &netns).fails(11, "the switch is not running");
        assert!(advice.contains("vswitch up --bridge br0"), "{advice}");
        let advice = runtime.operation("STATUS").fails(51, "the switch is not running");
        assert!(advice.contains("vswitch up --bridge br0"), "{advice}");
    }
    host.up(&[]);
    {
        let runtime = Runtime::new(&host, "1.1.0", json!({}));
        runtime.add("pod", &netns).ok();
        runtime.add("kept", &kept).ok();
    }
    host.kill();
    // Where the namespace lives, the attachment comes back: DEL has to come again.
    let gone = netns.path().to_owned();
    let runtime = Runtime::new(&host, "1.1.0", json!({}));
    runtime.del("pod", Some(&gone)).fails(11, "the switch is not running");
    runtime
        .with(json!({ "cni.dev/valid-attachments": [] }))
        .operation("GC")
        .fails(11, "not running");
    netns.delete();
    runtime.del("pod", Some(&gone)).ok();
    runtime.del("pod", None).ok();
    host.up(&[]);
    let names = || host.ls().into_iter().map(|port| port.name).collect::<Vec<_>>();
    assert_eq!(names(), ["kept"]);
    let runtime = Runtime::new(&host, "1.1.0", json!({}));
    runtime.del("kept", Some(kept.path())).ok();
    nothing_is_left(&host, &[&kept]);
}

/// A runtime that is killed, or a container that dies, in the middle of ADD: DEL ends it.
#[test]
fn an_add_that_is_cut_off_is_ended_by_del() {
    let host = Host::with_switch();
    let runtime = Runtime::new(&host, "1.0.0", json!({}));
    let dying = host.namespace("dying");
    for (delay, id) in [(2, "a"), (6, "b"), (12, "c"), (20, "d"), (30, "e"), (45, "f"), (60, "g")] {
        let netns = host.namespace(id);
        let mut command = runtime.command("ADD", id, Some(netns.path()));
        let mut process = Process::spawn(command.stdin(std::process::Stdio::piped()));
        std::io::Write::write_all(&mut process.stdin(), &runtime.input()).expect("a pipe");
        std::thread::sleep(Duration::from_millis(delay));
        drop(process);
        // The switch ends what it has begun, and DEL waits for that. A request that it reads after DEL, on a busy host, it
        // ends then.
        runtime.del(id, Some(netns.path())).ok();
        wait_for("the interface is gone", Duration::from_secs(10), || netns.links().is_empty());
        nothing_is_left(&host, &[&netns]);
    }
    let mut command = runtime.command("ADD", "dying", Some(dying.path()));
    let mut process = Process::spawn(command.stdin(std::process::Stdio::piped()));
    std::io::Write::write_all(&mut process.stdin(), &runtime.input()).expect("a pipe");
    std::thread::sleep(Duration::from_millis(5));
    dying.delete();
    // As the container's end was before the attach, or after it.
    let output = process.finish(COMMAND_TIMEOUT);
    assert!(output.status.success() || output.stdout.contains("\"code\":3"), "{output}");
    runtime.del("dying", None).ok();
    nothing_is_left(&host, &[]);
}

/// The switch ends, or is killed, while runtimes call: they may call again.
#[test]
fn a_switch_that_ends_says_to_try_again() {
    let mut host = Host::new();
    let netns = host.namespace("pod");
    let config = host.path("pod.json");
    for how in ["down", "kill", "down", "kill"] {
        host.up(&[]);
        let runtime = Runtime::new(&host, "1.1.0", json!({}));
        std::fs::write(&config, runtime.input()).expect("a configuration");
        let add = runtime.command("ADD", "pod", Some(netns.path()));
        let plugin = add.get_program().to_owned();
        let args: Vec<_> = add.get_args().map(ToOwned::to_owned).collect();
        let mut calls = std::process::Command::new("sh");
        // Until the switch is gone: each answer is a result, or code 11.
        calls.args(["-c", CALLS, "sh"]).arg(&config).arg(plugin).args(args);
        calls.envs(add.get_envs().filter_map(|(key, value)| Some((key, value?))));
        calls.env_remove("VSWITCH_SOCKET");
        let process = Process::spawn(&mut calls);
        std::thread::sleep(Duration::from_millis(80));
        if how == "down" {
            host.down()
        } else {
            host.kill()
        }
        process.finish(COMMAND_TIMEOUT).ok();
        host.up(&[]);
        let runtime = Runtime::new(&host, "1.1.0", json!({}));
        runtime.del("pod", Some(netns.path())).ok();
        nothing_is_left(&host, &[&netns]);
        host.down();
    }
}

/// Calls ADD and DEL of `$2..` with the configuration `$1`.
const CALLS: &str = r#"
config=$1; shift
while :; do
  for CNI_COMMAND in ADD DEL; do
    export CNI_COMMAND
    out=$("$@" <"$config") && continue
    case $out in
      *'"code":11,'*'not running'*) exit 0 ;;
      *'"code":11,'*) ;;
      *'attached already'*) ;;
      *) echo "$CNI_COMMAND: $out"; exit 1 ;;
    esac
  done
done
"#;
