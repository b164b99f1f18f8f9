//! Addresses of another plugin: Debian's `host-local`, and one of the newest version, which Debian lacks.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::runtime::{PLUGINS, Runtime, nothing_is_left};
use crate::harness::Host;

/// Notes each operation, and gives one address.
const NOTING: &str = r#"#!/bin/sh
cat >/dev/null
echo "$CNI_COMMAND" >>"${0%/*}/calls"
case $CNI_COMMAND in
  ADD) echo '{"cniVersion":"1.1.0","ips":[{"address":"10.99.3.3/16","gateway":"10.99.0.1"}]}' ;;
  STATUS) echo '{"cniVersion":"1.1.0","code":50,"msg":"no addresses","details":"wait"}'; exit 1 ;;
esac
"#;

#[test]
fn host_local_gives_and_gets_back() {
    let host = Host::with_switch();
    let subnet6 = host.json(&["network", "ls"])[0]["subnets"][1].as_str().unwrap().to_owned();
    let store = host.path("store");
    let ranges = |subnets: &[&str]| {
        let ranges: Vec<Value> = subnets.iter().map(|it| json!([{ "subnet": it }])).collect();
        json!({ "ipam": { "type": "host-local", "dataDir": store, "ranges": ranges,
            "routes": [{ "dst": "0.0.0.0/0" }] } })
    };
    let reserved = || {
        let files = fs::read_dir(store.join("net")).into_iter().flatten().flatten();
        let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        names.filter(|name| name != "lock" && !name.starts_with("last_reserved_ip")).count()
    };
    let netns = host.namespace("pod");
    for (subnets, families) in [
        (vec!["10.99.0.0/16"], vec![4]),
        (vec![subnet6.as_str()], vec![6]),
        (vec!["10.99.0.0/16", subnet6.as_str()], vec![4, 6]),
    ] {
        let runtime = Runtime::new(&host, "1.0.0", ranges(&subnets));
        let result = runtime.add("id", &netns).ok();
        let port = host.inspect("id").port;
        let (has4, has6) = (families.contains(&4), families.contains(&6));
        assert_eq!((port.ipv4.len(), port.ipv6.len()), (has4.into(), has6.into()), "{result:#}");
        assert_eq!(result["ips"].as_array().unwrap().len(), families.len());
        assert_eq!(reserved(), families.len());
        runtime.check("id", &netns, &result).ok();
        // Twice: the first one keeps its addresses.
        runtime.add("id", &netns).fails(100, "attached already");
        assert_eq!(reserved(), families.len());
        runtime.del("id", Some(netns.path())).ok();
        assert_eq!(reserved(), 0);
        runtime.del("id", None).ok();
    }
    for (subnet, value) in [("10.77.0.0/16", "10.77.0."), ("10.99.8.0/24", "10.99.8.1")] {
        let runtime = Runtime::new(&host, "1.0.0", ranges(&[subnet]));
        runtime.add("id", &netns).fails(7, value);
        assert_eq!(reserved(), 0, "{subnet}");
    }
    // Its name servers are for the container, unless the configuration names others.
    let resolv_conf = host.path("resolv.conf");
    fs::write(&resolv_conf, "nameserver 192.0.2.53\nsearch lan\n").expect("a file");
    let mut fields = ranges(&["10.99.0.0/16"]);
    fields["ipam"]["resolvConf"] = json!(resolv_conf);
    let told = json!({ "nameservers": ["192.0.2.53"], "search": ["lan"] });
    assert_eq!(Runtime::new(&host, "1.0.0", fields.clone()).add("id", &netns).ok()["dns"], told);
    Runtime::new(&host, "1.0.0", fields.clone()).del("id", Some(netns.path())).ok();
    fields["dns"] = json!({ "nameservers": ["192.0.2.54"] });
    let runtime = Runtime::new(&host, "1.0.0", fields);
    let told = json!({ "nameservers": ["192.0.2.54"], "search": ["lan"] });
    assert_eq!(runtime.add("id", &netns).ok()["dns"], told);
    runtime.del("id", Some(netns.path())).ok();
    let wrong = Runtime::new(&host, "1.0.0", json!({ "ipam": { "type": "host-local" } }));
    let error = wrong.add("id", &netns);
    assert!(
        error.json["msg"].as_str().unwrap().starts_with("host-local ADD: "),
        "{:#}",
        error.json
    );
    nothing_is_left(&host, &[&netns]);
}

#[test]
fn every_operation_is_passed_on() {
    let host = Host::with_switch();
    let folder = host.path("plugins");
    fs::create_dir(&folder).unwrap();
    let plugin = folder.join("noting");
    fs::write(&plugin, NOTING).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    for (name, answer) in [("failing", "allocated; exit 1"), ("garbled", "{")] {
        let script = format!("echo \"$CNI_COMMAND\" >>${{0%/*}}/{name}.calls; echo '{answer}'");
        let script = script.replace("; exit 1'", "'; [ $CNI_COMMAND = DEL ] || exit 1");
        fs::write(folder.join(name), format!("#!/bin/sh\ncat >/dev/null\n{script}\n")).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut runtime = Runtime::new(&host, "1.1.0", json!({ "ipam": { "type": "noting" } }));
    runtime.path = format!("{PLUGINS}:{}", folder.display());
    let netns = host.namespace("pod");
    // What a failed ADD has allocated is given back.
    for (name, code) in [("failing", 100), ("garbled", 6)] {
        let failing = runtime.with(json!({ "ipam": { "type": name } }));
        failing.add("id", &netns).fails(code, name);
        let calls = fs::read_to_string(folder.join(format!("{name}.calls"))).unwrap();
        assert_eq!(calls, "ADD\nDEL\n", "{name}");
    }
    let result = runtime.add("id", &netns).ok();
    assert_eq!(result["ips"].as_array().unwrap().len(), 1, "{result:#}");
    runtime.check("id", &netns, &result).ok();
    let advice = runtime.operation("STATUS").fails(50, "noting STATUS: no addresses");
    assert!(advice.ends_with("wait"), "{advice}");
    // The one address is in use: the second container gives it back.
    let second = host.namespace("second");
    runtime.add("second", &second).fails(100, "10.99.3.3");
    runtime.with(json!({ "cni.dev/valid-attachments": [] })).operation("GC").ok();
    runtime.del("id", None).ok();
    let calls = fs::read_to_string(folder.join("calls")).unwrap();
    let calls: Vec<&str> = calls.lines().collect();
    assert_eq!(calls, ["ADD", "CHECK", "STATUS", "ADD", "DEL", "GC", "DEL"]);
    nothing_is_left(&host, &[&netns, &second]);
}
