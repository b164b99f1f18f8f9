//! ssh and scp, with keys and a configuration of their own.

use std::path::Path;

use testkit::{Netns, Process, run};

use super::{LOAD_LIMIT, assert_same, pair, random_file, serve, text};

const PORT: &str = "2222";

const SSHD: &str = "\
Port 2222
HostKey FOLDER/host
AuthorizedKeysFile FOLDER/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
Subsystem sftp internal-sftp
";

/// Starts sshd on a `/run` of its own, which has the folder that it wants.
#[track_caller]
fn start(server: &Netns, folder: &Path) -> Process {
    for key in ["host", "user"] {
        let key = folder.join(key);
        server.ok(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", text(&key)]);
    }
    let file = folder.join("sshd_config");
    std::fs::write(&file, SSHD.replace("FOLDER", text(folder))).expect("a configuration");
    let script =
        "mount -t tmpfs none /run && mkdir /run/sshd && exec /usr/sbin/sshd -D -e -f \"$0\"";
    serve(server, &["unshare", "--mount", "sh", "-c", script, text(&file)], 2222)
}

#[test]
fn ssh_and_scp_carry_files() {
    let (_host, server, client) = pair(&[]);
    let dir = tempfile::tempdir().expect("a directory");
    let _sshd = start(&server, dir.path());
    let key = dir.path().join("user");
    let options = ["-q", "-i", text(&key), "-F", "none", "-o", "StrictHostKeyChecking=no"];
    let options =
        [&options[..], &["-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"]].concat();
    let big = random_file(dir.path(), "big", 20_000_000);
    let (there, back) = (dir.path().join("there"), dir.path().join("back"));
    for address in [server.v4(), server.v6()] {
        let of_scp = match address.is_ipv6() {
            true => format!("root@[{address}]"),
            false => format!("root@{address}"),
        };
        let scp = |from: &str, to: &str| {
            let args = [&["scp", "-P", PORT][..], &options, &[from, to]].concat();
            client.exec_within(&args, LOAD_LIMIT).ok();
        };
        scp(text(&big), &format!("{of_scp}:{}", there.display()));
        assert_same(&big, &there);
        scp(&format!("{of_scp}:{}", there.display()), text(&back));
        assert_same(&big, &back);
        for file in [&there, &back] {
            std::fs::remove_file(file).expect("remove a file");
        }
        // Through a command, in both directions at once.
        let login = format!("root@{address}");
        let args = [&["ssh", "-p", PORT][..], &options, &[&login, "cat"]].concat();
        let input: String = (0..300_000).map(|n| format!("{n}\n")).collect();
        let output = run(&mut client.command(&args), input.as_bytes(), LOAD_LIMIT).ok();
        assert!(output == input, "{} bytes come back of {}", output.len(), input.len());
    }
}
