//! Steps before the commands of a page: what a clean machine with these engines has.

use std::path::Path;

use super::machine::Machine;

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
        _ => panic!("no step of a stage: {step}"),
    }
}

/// What an image of that name runs.
fn command(image: &str) -> &'static str {
    match image.split(':').next() {
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
