//! The Docker daemon of the tests leaves nothing behind.

use std::path::Path;
use std::time::Duration;

use testkit::{Docker, Netns, wait_for};

#[test]
fn containers_outlive_the_daemon_and_end_with_its_guard() {
    let host = Netns::new("host");
    let mut docker = Docker::start_with(&host, &["--live-restore"]);
    docker.bring_image();
    let id = docker.ok(&["run", "-d", "--name", "one", Docker::IMAGE, "sleep", "1000"]);
    let process = format!("/proc/{}", docker.pid("one"));
    docker.kill();
    docker.start_again();
    docker.restart();
    assert_eq!(docker.ok(&["exec", "one", "hostname"]), id[..12]);
    assert_eq!(docker.ok(&["ps", "--quiet"]), id[..12]);
    let cgroup = Path::new("/sys/fs/cgroup/memory/docker").join(&id);
    let has_cgroup = cgroup.exists();
    let folder = docker.path(".");
    drop(docker);
    wait_for("the container has ended", Duration::from_secs(5), || !Path::new(&process).exists());
    assert!(!folder.exists() && !cgroup.exists(), "{has_cgroup} {}", folder.display());
}
