//! The example of a DaemonSet in docs/: what can be checked without a cluster.

use std::path::Path;

use serde_json::{Value, json};
use testkit::{COMMAND_TIMEOUT, run};

use super::runtime::Runtime;
use crate::harness::Host;

const READ: &str = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))";

/// The documents of the file.
fn documents() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kubernetes/vswitch.yaml");
    let text = std::fs::read(path).expect("docs/kubernetes/vswitch.yaml");
    let mut python = std::process::Command::new("/usr/bin/python3");
    let json = run(python.args(["-c", READ]), &text, COMMAND_TIMEOUT).ok();
    serde_json::from_str(&json).expect("JSON")
}

#[test]
fn its_parts_fit_together() {
    let documents = documents();
    let [map, set] = &documents[..] else { panic!("a ConfigMap and a DaemonSet: {documents:?}") };
    assert_eq!((&map["kind"], &set["kind"]), (&json!("ConfigMap"), &json!("DaemonSet")));
    let template = &set["spec"]["template"];
    assert_eq!(set["spec"]["selector"]["matchLabels"], template["metadata"]["labels"]);
    let pod = &template["spec"];
    assert_eq!((&pod["hostNetwork"], &pod["hostPID"]), (&json!(true), &json!(true)));
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let volumes = list(&pod["volumes"]);
    for container in [list(&pod["initContainers"]), list(&pod["containers"])].concat() {
        for mount in list(&container["volumeMounts"]) {
            let is_it = |volume: &Value| volume["name"] == mount["name"];
            assert!(volumes.iter().any(is_it), "no volume for {mount}");
        }
    }
    let config_map = volumes.iter().find(|volume| volume.get("configMap").is_some());
    assert_eq!(config_map.expect("a volume")["configMap"]["name"], map["metadata"]["name"]);
    // The plugin takes its configuration, and the command its options.
    let config = map["data"]["10-vswitch.conflist"].as_str().expect("a list of plugins");
    let config: Value = serde_json::from_str(config).expect("JSON");
    let plugin = config["plugins"][0].clone();
    let mut host = Host::new();
    let command = list(&pod["containers"][0]["command"]);
    let command: Vec<&str> = command.iter().map(|word| word.as_str().expect("a word")).collect();
    assert_eq!(command[..4], ["vswitch", "up", "--bridge", "br0"]);
    host.up(&command[4..]);
    // What the node gets after the switch has come up, with paths of the test.
    let hook = &pod["containers"][0]["lifecycle"]["postStart"]["exec"]["command"];
    let script = list(hook)[2].as_str().expect("a script").replace(
        "vswitch status",
        &format!("{} --socket {} status", host.program(), host.path("sock").display()),
    );
    let (from, to) = (host.path("config"), host.path("net.d"));
    for folder in [&from, &to] {
        std::fs::create_dir(folder).expect("a folder");
    }
    std::fs::write(
        from.join("10-vswitch.conflist"),
        map["data"]["10-vswitch.conflist"].as_str().unwrap(),
    )
    .expect("a file");
    let script = script.replace("/config/", &format!("{}/", from.display()));
    let script = script.replace("/host/etc/cni/net.d/", &format!("{}/", to.display()));
    host.netns().ok(&["timeout", "20", "sh", "-ec", &script]);
    assert!(to.join("10-vswitch.conflist").exists());
    let netns = host.namespace("pod");
    let runtime = Runtime::new(&host, config["cniVersion"].as_str().expect("a version"), plugin);
    runtime.add("id", &netns).ok();
    runtime.with(json!({ "cniVersion": "1.1.0" })).operation("STATUS").ok();
    runtime.del("id", None).ok();
}
