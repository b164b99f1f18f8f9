//! Steps before the commands of a page: what a clean machine with these engines has.

use std::path::Path;

use super::machine::Machine;

/// The part of `crictl` that pages use: Debian has no package of it.
const CRICTL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/pages/crictl.py");

/// In some machines of tests nobody may lower `oom_score_adj`, which CRI does for the first container of a pod.
const CONTAINERD: &str =
    "sed -i '/grpc.v1.cri\"\\]/a restrict_oom_score_adj = true' /etc/containerd/config.toml";

/// The machine has no systemd, and where `crun` is absent, `runc` is Debian's other choice.
const PODMAN: &str = "cat >/usr/share/containers/containers.conf <<'END'
[engine]
runtime = \"runc\"
cgroup_manager = \"cgroupfs\"
events_logger = \"file\"
END";

/// An image as `docker save` writes it: the name is $1, the command $2.
const SAVED_IMAGE: &str = r#"mkdir -p image
cp root.tar image/layer.tar
sum=$(sha256sum root.tar | cut -d' ' -f1)
cat >image/config.json <<END
{"architecture":"amd64","os":"linux","config":{"Cmd":$2,"Env":["PATH=/usr/bin:/bin"]},
 "rootfs":{"type":"layers","diff_ids":["sha256:$sum"]}}
END
echo "[{\"Config\":\"config.json\",\"RepoTags\":[\"$1\"],\"Layers\":[\"layer.tar\"]}]" >image/manifest.json
tar -C image -cf image.tar manifest.json config.json layer.tar"#;

/// A root file system of busybox, as an archive, with a page to serve.
const ROOT: &str = "mkdir -p root/bin root/etc root/usr/bin root/tmp root/www
cp /bin/busybox root/bin/
for applet in $(/bin/busybox --list); do [ -e root/bin/$applet ] || ln -s busybox root/bin/$applet; done
echo hello >root/www/index.html
tar -C root -c . >root.tar";

/// Does one step: a line of the page's comment.
#[track_caller]
pub(super) fn step(machine: &mut Machine, step: &str) {
    match step.split_whitespace().collect::<Vec<_>>()[..] {
        ["dockerd"] => machine.start(&["dockerd"], &["docker", "version"]),
        ["image", name] => {
            let archive = archive(machine);
            let change = format!("CMD {}", command(name));
            machine.ok(&["docker", "import", "--change", &change, &archive, name]);
        }
        ["containerd"] => {
            machine.ok(&["sh", "-ec", CONTAINERD]);
            machine.start(&["containerd"], &["ctr", "version"]);
        }
        ["ctr-image", name] => ctr_image(machine, name, "default"),
        ["cri-image", name] => ctr_image(machine, name, "k8s.io"),
        ["crictl"] => machine.add_program("crictl", &format!("exec python3 {CRICTL} \"$@\"")),
        ["podman"] => {
            machine.ok(&["sh", "-ec", PODMAN]);
        }
        ["podman-image", name] => {
            let archive = archive(machine);
            let change = format!("CMD {}", command(name));
            machine.ok(&["podman", "import", "--quiet", "--change", &change, &archive, name]);
        }
        _ => panic!("no step of a stage: {step}"),
    }
}

/// Imports an image into a namespace of containerd.
#[track_caller]
fn ctr_image(machine: &Machine, name: &str, namespace: &str) {
    archive(machine);
    machine.ok(&["sh", "-ec", SAVED_IMAGE, "sh", name, command(name)]);
    machine.ok(&["ctr", "--namespace", namespace, "image", "import", "image.tar"]);
}

/// What an image of that name runs.
fn command(image: &str) -> &'static str {
    let name = image.rsplit('/').next().and_then(|name| name.split(':').next());
    match name {
        Some("pause") => r#"["sleep", "infinity"]"#,
        Some("nginx" | "httpd") => r#"["httpd", "-f", "-h", "/www"]"#,
        _ => r#"["sh"]"#,
    }
}

/// The archive of a root file system, made once.
#[track_caller]
fn archive(machine: &Machine) -> String {
    let path: &Path = &machine.folder().join("home/root.tar");
    if !path.exists() {
        machine.ok(&["sh", "-ec", ROOT]);
    }
    path.display().to_string()
}
