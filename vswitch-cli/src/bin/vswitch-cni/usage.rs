//! The text for a person who starts the plugin.

use std::io::Write;
use std::process::ExitCode;

/// The exit code for "usage".
const EXIT_USAGE: u8 = 2;

const HELP: &str = concat!(
    "vswitch-cni ",
    env!("CARGO_PKG_VERSION"),
    ", the CNI plugin of vswitch: connects containers of containerd, podman and Kubernetes to the switch

Container runtimes call it. Put it where they look for plugins, and name it in a configuration:

  install vswitch-cni /opt/cni/bin/
  cat >/etc/cni/net.d/10-vswitch.conflist <<'END'
  {
    \"cniVersion\": \"1.0.0\",
    \"name\": \"vswitch\",
    \"plugins\": [{ \"type\": \"vswitch-cni\", \"capabilities\": { \"portMappings\": true } }]
  }
  END
  vswitch up --bridge br0 --detach

Versions of the CNI specification: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0. All fields: docs/cni.md
"
);

/// Shows the help, or the version.
pub(crate) fn show(arguments: &[String]) -> ExitCode {
    let (text, code) = match arguments.first().map(String::as_str) {
        Some("--version" | "-V") => {
            (concat!("vswitch-cni ", env!("CARGO_PKG_VERSION"), "\n"), ExitCode::SUCCESS)
        }
        Some("--help" | "-h") | None => (HELP, ExitCode::SUCCESS),
        Some(_) => (HELP, ExitCode::from(EXIT_USAGE)),
    };
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    code
}
