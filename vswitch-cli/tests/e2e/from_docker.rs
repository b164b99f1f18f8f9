//! Every line of docs/coming-from-docker.md, run as written: by a shell on a host with a switch, with `sudo`
//! as on a machine where one is root already.

mod page;

use std::fs;
use std::time::Duration;

use testkit::{COMMAND_TIMEOUT, Netns, Output, Process, Remote, run, wait_for};

use crate::harness::{Container, Host};
use crate::programs::Programs;
use page::{Row, Section};

const SOON: Duration = Duration::from_secs(10);

/// Serves a page with the text `from-web` at port 80.
const HTTP: &str = "import http.server as h
class Page(h.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'from-web\\n')
h.ThreadingHTTPServer(('0.0.0.0', 80), Page).serve_forever()";

/// A host with all that the stage of a section asks for.
struct Stage {
    host: Host,
    programs: Programs,
    _remote: Remote,
    containers: Vec<Container>,
    /// Containers that Docker runs, without a network.
    of_docker: Vec<Netns>,
    processes: Vec<Process>,
    /// The switch is brought up by the rows.
    is_up: bool,
}

impl Stage {
    fn new(steps: &[String]) -> Self {
        let is_up = steps.iter().all(|step| step != "no switch");
        let mut host = Host::new();
        let remote = Remote::new(host.net());
        // A new namespace has the setting of the machine, where Docker may have changed it.
        host.netns().set_sysctl("net/ipv4/ip_forward", "0");
        if is_up {
            // With the address of its NIC as the underlay, for the rows of overlay networks.
            host.up(&["--underlay", "192.0.2.1"]);
        }
        let mut stage = Self {
            programs: programs(&host),
            host,
            _remote: remote,
            containers: Vec::new(),
            of_docker: Vec::new(),
            processes: Vec::new(),
            is_up,
        };
        for step in steps {
            let words: Vec<&str> = step.split_whitespace().collect();
            match words[..] {
                ["no", "switch"] => {}
                ["container", name, ref options @ ..] => {
                    stage.containers.push(stage.host.container_with(name, options));
                }
                ["docker", name] => stage.docker(name),
                ["http", name] => stage.http(name),
                ["lan", ref command @ ..] => drop(stage.host.lan().ok(command)),
                ref command => drop(stage.host.ok(command)),
            }
        }
        stage
    }

    fn docker(&mut self, name: &str) {
        let netns = self.host.namespace(name);
        let process = netns.spawn(&["sleep", "infinity"]);
        fs::write(self.programs.folder().join(name), process.pid().to_string()).expect("a file");
        self.processes.push(process);
        self.of_docker.push(netns);
    }

    fn http(&mut self, name: &str) {
        let is_it = |it: &&Container| it.detail().port.name == name;
        let netns = self.containers.iter().find(is_it).expect(name);
        self.processes.push(netns.spawn(&["python3", "-c", HTTP]));
        wait_for("the page is served", SOON, || netns.ok(&["ss", "-ltn"]).contains(":80 "));
    }

    /// Runs a line of the page as a shell does.
    fn shell(&self, line: &str) -> Output {
        let mut command = self.host.netns().command(&["bash", "-o", "pipefail", "-c", line]);
        self.programs.on_path(&mut command);
        command.env("VSWITCH_SOCKET", self.host.path("sock"));
        run(&mut command, b"", COMMAND_TIMEOUT)
    }

    /// The fault of a row, if it has one.
    fn fault(&self, row: &Row) -> Option<String> {
        let output = self.shell(row.command.as_deref()?);
        let text = format!("{}{}", output.stdout, output.stderr);
        let wanted = row.shows.as_deref().unwrap_or_default();
        let fault = if !output.status.success() {
            Some(format!("line {} fails\n{output}", row.line))
        } else if !text.contains(wanted) {
            Some(format!("line {} does not show {wanted:?}\n{output}", row.line))
        } else {
            None
        };
        if !self.is_up {
            self.shell("vswitch down").ok();
        }
        fault
    }
}

/// Programs that the rows find by PATH.
fn programs(host: &Host) -> Programs {
    let programs = Programs::new(host.path("bin"));
    let (program, state) = (host.program(), host.state_dir());
    // The state of a switch of a test is not the machine's.
    let vswitch = format!(
        "case $1 in up|down) set -- \"$@\" --state-dir {};; esac; exec {program} \"$@\"",
        state.display()
    );
    programs.add("vswitch", &vswitch);
    let ids = programs.folder().display();
    programs.add("docker", &format!("for name; do :; done; cat {ids}/$name"));
    programs
}

#[track_caller]
fn every_line_works(heading: &str) {
    let sections = page::sections();
    let found = sections.iter().find(|section| section.heading == heading);
    let Section { stage, rows, .. } = found.unwrap_or_else(|| panic!("no section {heading}"));
    assert!(!rows.is_empty(), "{heading} has no rows");
    let stage = Stage::new(stage);
    let faults: Vec<String> = rows.iter().filter_map(|row| stage.fault(row)).collect();
    assert!(faults.is_empty(), "{} lines of the page:\n{}", faults.len(), faults.join("\n"));
}

/// A test for each section, and one for those that are left out.
macro_rules! sections {
    ($($name:ident: $heading:literal;)*) => {
        $(#[test]
        fn $name() {
            every_line_works($heading);
        })*

        #[test]
        fn no_section_is_left_out() {
            let headings: Vec<String> =
                page::sections().into_iter().map(|section| section.heading).collect();
            assert_eq!(headings, [$($heading),*]);
        }
    };
}

sections! {
    modes: "The four modes";
    create: "docker network create";
    list: "docker network ls, inspect, rm, prune";
    connect: "docker network connect, disconnect";
    run_options: "docker run --network";
    ports: "Published ports, and what runs";
    host: "What a guide shows on the host";
    daemon: "Options of dockerd";
}
