use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Group, Hierarchy, Version};

const BOTH: &str = "\
22 1 0:20 / /proc rw,nosuid - proc proc rw
30 22 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpuset rw,relatime shared:9 - cgroup cgroup rw,cpuset
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:10 master:1 - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/unified rw,relatime shared:11 - cgroup2 cgroup2 rw,nsdelegate
";

fn found(mountinfo: &str, has_cpu: bool) -> Option<Hierarchy> {
    Hierarchy::find(mountinfo, |_: &Path| has_cpu)
}

#[test]
fn the_first_version_is_taken_where_the_second_has_no_cpu() {
    let root = PathBuf::from("/sys/fs/cgroup/cpu,cpuacct");
    assert_eq!(found(BOTH, false), Some(Hierarchy { version: Version::V1, root }));
    let root = PathBuf::from("/sys/fs/cgroup/unified");
    assert_eq!(found(BOTH, true), Some(Hierarchy { version: Version::V2, root }));
}

#[test]
fn a_hierarchy_of_another_controller_is_none() {
    let without: String = BOTH
        .lines()
        .filter(|line| !line.contains("cpuacct"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(found(&without, false), None);
    assert_eq!(found("", true), None);
}

#[test]
fn names_are_of_this_process_and_not_given_twice() {
    let groups = [Group::new("client"), Group::service("client")];
    let prefix = format!("vswb-{}-", std::process::id());
    assert!(groups.iter().all(|group| group.name.starts_with(&prefix)));
    assert_ne!(groups[0].name, groups[1].name);
}

#[test]
fn a_command_is_itself_where_there_are_no_groups() {
    let mut command = Group::new("client").enter(Command::new("echo")).expect("a command");
    command.arg("word");
    assert_eq!(command.get_program(), "echo");
}
