//! `net.ipv4.ip_forward`, which `--uplink kernel` needs: switched on if it was off, and off again in the end.
//!
//! A marker file in the state directory says meanwhile that it was off, and in which boot. IPv6 forwarding
//! stays unchanged: with it on, the host ignores its router's advertisements.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::host::netns::boot_id;
use crate::host::reserve::ReserveError;
use crate::regular_file;

const SETTING: &str = "/proc/sys/net/ipv4/ip_forward";
/// The kernel changes it with the former, and does not bring its value back.
const REDIRECTS: &str = "/proc/sys/net/ipv4/conf/all/accept_redirects";
/// In the state directory; holds the boot's identifier and the former value of [`REDIRECTS`].
const MARKER_FILE: &str = "ip-forward-was-off";

/// Forwarding is on as long as this lives.
#[derive(Debug)]
pub(super) struct Forwarding {
    /// The marker file; none: forwarding was on before.
    kept: Option<PathBuf>,
}

/// Forwarding that is on, without the undoing; see [`Forwarding::into_parts`].
#[derive(Debug)]
pub(crate) struct ForwardingParts {
    kept: Option<PathBuf>,
}

impl Forwarding {
    pub(super) fn switch_on(state_dir: &Path) -> Result<Self, ReserveError> {
        if fs::read_to_string(SETTING).map_err(failed(SETTING))?.trim() != "0" {
            return Ok(Self { kept: None });
        }
        let path = mark(state_dir)?;
        fs::write(SETTING, "1").map_err(failed(SETTING))?;
        Ok(Self { kept: Some(path) })
    }

    /// Switches it on again where somebody switched it off meanwhile, so that it is off in the end; says whether that
    /// was so.
    pub(super) fn switch_on_again(&mut self, state_dir: &Path) -> Result<bool, ReserveError> {
        if fs::read_to_string(SETTING).map_err(failed(SETTING))?.trim() != "0" {
            return Ok(false);
        }
        if self.kept.is_none() {
            self.kept = Some(mark(state_dir)?);
        }
        fs::write(SETTING, "1").map_err(failed(SETTING))?;
        Ok(true)
    }

    /// Gives up forwarding without switching it off.
    pub(super) fn into_parts(mut self) -> ForwardingParts {
        ForwardingParts { kept: self.kept.take() }
    }

    /// Takes over forwarding that is on.
    pub(super) fn from_parts(parts: ForwardingParts) -> Self {
        Self { kept: parts.kept }
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let Some(path) = &self.kept else { return };
        if let Err(error) = restore(path) {
            tracing::warn!(%error, "net.ipv4.ip_forward stays on");
        }
    }
}

/// Writes the marker file: forwarding is off at this moment.
fn mark(state_dir: &Path) -> Result<PathBuf, ReserveError> {
    let path = state_dir.join(MARKER_FILE);
    let boot = boot_id().map_err(failed(MARKER_FILE))?;
    let redirects = fs::read_to_string(REDIRECTS).map_err(failed(REDIRECTS))?;
    let marker = format!("{boot}\n{}", redirects.trim());
    regular_file::write(&path, marker).map_err(failed(&path))?;
    Ok(path)
}

/// Switches it off again if a crash of this boot left it on; says whether it did.
pub(in crate::host) fn restore_after_crash(state_dir: &Path) -> Result<bool, ReserveError> {
    let path = state_dir.join(MARKER_FILE);
    match restore(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(&path)(error)),
        Ok(was_on) => Ok(was_on),
    }
}

/// Restores the stored setting, if it is of this boot, and forgets it.
fn restore(path: &Path) -> io::Result<bool> {
    let kept = regular_file::read_to_string(path)?;
    let mut is_restored = false;
    if let Some((boot, redirects)) = kept.split_once('\n')
        && boot == boot_id()?
    {
        fs::write(SETTING, "0")?;
        fs::write(REDIRECTS, redirects)?;
        is_restored = true;
    }
    fs::remove_file(path)?;
    Ok(is_restored)
}

fn failed<P: AsRef<Path>>(path: P) -> impl FnOnce(io::Error) -> ReserveError {
    move |source| ReserveError::File { path: path.as_ref().to_owned(), source }
}
