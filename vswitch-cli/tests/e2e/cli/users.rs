//! Users without permission are told how to get it, by every command.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use testkit::{COMMAND_TIMEOUT, Output, run};

use crate::harness::Host;

/// `vswitch ARGS` as the user nobody.
fn as_nobody(host: &Host, args: &[&str]) -> Output {
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", &host.program()];
    let mut command = host.netns().command(&nobody);
    command.arg("--socket").arg(host.path("sock")).args(args);
    run(&mut command, b"", COMMAND_TIMEOUT)
}

#[test]
fn everybody_but_root_gets_the_hint() {
    let host = Host::with_switch();
    let _a = host.container("a");
    // The folder is open: the socket itself refuses.
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(host.path(""), open).expect("the folder of the test");
    let state = host.path("state/x").display().to_string();
    for args in [
        &["ls"][..],
        &["status"],
        &["detach", "a"],
        &["down"],
        &["events"],
        &["logs"],
        &["run", "--", "true"],
        &["run", "--network", "none", "--", "true"],
        &["attach", "--netns", "1"],
        &["up", "--bridge", "br7", "--state-dir", &state],
        &["up", "--bridge", "br7", "--state-dir", &state, "--detach"],
    ] {
        let output = as_nobody(&host, args);
        assert_eq!(output.code(), 1, "{output}");
        assert!(output.stderr.contains("sudo"), "no hint: {output}");
        assert_eq!(output.stderr.lines().count(), 2, "{output}");
    }
    assert_eq!(host.ok(&["ls", "-q"]), "a\n");
}

/// Where no switch is, nobody but root can know that nothing is left of one.
#[test]
fn only_root_hears_that_nothing_is_left() {
    let host = Host::new();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(host.path(""), open).expect("the folder of the test");
    let output = as_nobody(&host, &["down"]);
    assert!(output.code() == 1 && output.stderr.contains("sudo"), "{output}");
    assert!(!output.stderr.contains("nothing"), "{output}");
    host.fails(&["down"], &[1], "nothing of a switch is left");
}
