//! Docker's protocol spoken by hand: moments that a real daemon meets by chance only.

use std::process::Command;

use serde_json::{Value, json};
use testkit::{Docker, READY_MAX, run, wait_for};

use super::{address, host_with_docker, start, up};

/// The 64 letters of an id.
fn id(letter: char) -> String {
    letter.to_string().repeat(64)
}

/// Calls a method of the network driver; gives the head of the answer, and the answer.
#[track_caller]
fn call(docker: &Docker, method: &str, body: &Value) -> (String, Value) {
    let mut curl = Command::new("curl");
    curl.args(["-s", "-i", "--unix-socket", "/run/docker/plugins/vswitch.sock"]);
    curl.args(["-d", &body.to_string(), &format!("http://localhost/NetworkDriver.{method}")]);
    let output = run(&mut docker.inside(&curl), b"", READY_MAX).ok();
    let (head, answer) = output.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), serde_json::from_str(answer).expect("JSON"))
}

#[test]
fn an_endpoint_between_its_creation_and_its_container() {
    let (mut host, docker) = host_with_docker(&["--bridge=none"]);
    let network = docker.ok(&["network", "create", "-d", "vswitch", "-o", "name=blue", "blue"]);
    start(&docker, "client", &["--network", "blue"]);
    let taken = address(&docker, "client", "blue", "IPAddress");
    let subnet = host.json(&["network", "inspect", "blue"])["subnets"][0].clone();
    let subnet: ipnet::Ipv4Net = subnet.as_str().expect("a subnet").parse().expect("a subnet");
    let free = subnet.hosts().nth(99).expect("an address");
    assert_ne!(free, taken);

    // The switch is killed after it has made the endpoint; Docker asks again, and joins.
    let create = json!({ "NetworkID": network, "EndpointID": id('e'), "Options": {},
        "Interface": { "Address": format!("{free}/{}", subnet.prefix_len()) } });
    let (head, created) = call(&docker, "CreateEndpoint", &create);
    assert_eq!(created, json!({ "Interface": created["Interface"] }), "no error");
    assert!(head.to_lowercase().contains("connection: close"), "an idle one ends in a time-out");
    let mac = host.ls().into_iter().find(|it| it.ipv4.contains(&free)).expect("an endpoint").mac;
    host.kill();
    up(&mut host, &docker);
    let (_, again) = call(&docker, "CreateEndpoint", &create);
    assert_eq!(again["Interface"]["MacAddress"], mac.to_string());
    let join = json!({ "NetworkID": network, "EndpointID": id('e'), "Options": {},
        "SandboxKey": "/run/docker/netns/none" });
    let (_, joined) = call(&docker, "Join", &join);
    assert_eq!(joined["InterfaceName"]["SrcName"], "vsweeeeeeeeeeee", "{joined}");
    assert!(host.netns().links().contains(&"vsweeeeeeeeeeee".to_owned()));

    // A user's own publication there is not Docker's to withdraw.
    let ports = json!([{ "Proto": 6, "Port": 80, "HostPort": 8080, "HostPortEnd": 8080 }]);
    let program = json!({ "NetworkID": network, "EndpointID": id('e'),
        "Options": { "com.docker.network.portmap": ports } });
    assert_eq!(call(&docker, "ProgramExternalConnectivity", &program).1, json!({}));
    let name = format!("docker-{}", &id('e')[..12]);
    host.ok(&["publish", &name, "9090:90"]);
    // Docker repeats a request without an answer, also to another switch than before.
    host.kill();
    up(&mut host, &docker);
    assert_eq!(call(&docker, "ProgramExternalConnectivity", &program).1, json!({}));
    let published = || host.json(&["publish", "ls"]).as_array().map(Vec::len);
    assert_eq!(published(), Some(2));
    // A malformed map changes nothing.
    let malformed = json!({ "NetworkID": network, "EndpointID": id('e'),
        "Options": { "com.docker.network.portmap": [{ "Proto": 1, "Port": 80 }] } });
    let (_, refused) = call(&docker, "ProgramExternalConnectivity", &malformed);
    assert!(refused["Err"].as_str().expect("an error").contains("protocol 1"), "{refused}");
    assert_eq!(published(), Some(2));

    // Docker does not know the endpoint, and so its port is free for one that it knows.
    start(&docker, "web", &["--network", "blue", "-p", "8080:80"]);
    assert!(host.log().contains("driver: forgotten by Docker"), "{}", host.log());
    assert_eq!(published(), Some(1));

    // Of the endpoints that no container has, those that Docker does not know go after a start.
    let create = json!({ "NetworkID": network, "EndpointID": id('f'), "Options": {},
        "Interface": { "Address": format!("{free}/{}", subnet.prefix_len()) } });
    assert_eq!(call(&docker, "CreateEndpoint", &create).1["Err"], Value::Null);
    let names = host.ls().into_iter().map(|it| it.name).collect::<Vec<_>>();
    host.kill();
    up(&mut host, &docker);
    wait_for("the endpoint is gone", 2 * READY_MAX, || host.ls().len() == names.len() - 1);
    assert!(host.ls().iter().all(|it| !it.ipv4.contains(&free)), "{names:?}");

    // The switch has lost a network of Docker.
    docker.ok(&["rm", "-f", "web", "client"]);
    host.ok(&["network", "rm", "blue"]);
    let output = docker.docker(&["run", "--network", "blue", Docker::IMAGE, "true"]);
    assert!(output.stderr.contains("remove the network and create it again"), "{output}");
    docker.ok(&["network", "rm", "blue"]);
    assert!(host.ls().is_empty(), "{:?}", host.ls());
    assert_eq!(host.json(&["publish", "ls"]), json!([]));
    let links = host.netns().links();
    assert!(!links.iter().any(|link| link.starts_with("vsw")), "{links:?}");
}
