//! Start of the programs, with the note that finds them after a crash.

use std::path::Path;

use vswitch_cutthrough::{CutThrough, Error, Guards, Options};

use crate::config::{CgroupPath, Config};
use crate::control::random::random;
use crate::host::cut_through_note::{self, CutThroughNote};
use crate::host::netns;

/// In debug builds, the guards that are on: `none`, or some of `order,bound,splice,ring,refresh`, so that a test sees
/// what the others do.
const GUARDS: &str = "VSWITCH_CUT_THROUGH_GUARDS";

/// Starts the programs, or takes over those of a killed switch.
///
/// # Errors
///
/// Why cut-through is off.
pub(super) fn start(config: &Config, boot_id: String) -> Result<CutThrough, String> {
    let state_dir = config.state_dir.path();
    let cgroup = config.cut_through_cgroup.as_ref().map(CgroupPath::path);
    let former = CutThroughNote::read(state_dir);
    if former.is_some_and(|note| note.cgroup.as_deref() != cgroup) {
        clear_of_dead(state_dir)?;
    }
    let options = options(state_dir, cgroup)?;
    let cgroup = cgroup.map(Path::to_owned);
    let noted = CutThroughNote { boot_id, cgroup }.write(state_dir);
    noted.map_err(|error| format!("it cannot be noted in {}: {error}", state_dir.display()))?;
    let started = CutThrough::start(&options);
    started.map_err(|error| {
        // Whatever was attached is not this switch's, or stays for later.
        let _ = clear_of_dead(state_dir);
        error.to_string()
    })
}

/// Removes what a killed switch has left. Says whether there was anything.
///
/// # Errors
///
/// What stays on the host, and why.
pub(in crate::control) fn clear_of_dead(state_dir: &Path) -> Result<bool, String> {
    let Some(note) = CutThroughNote::read(state_dir) else { return Ok(false) };
    let is_this_boot = netns::boot_id().is_ok_and(|boot_id| boot_id == note.boot_id);
    if is_this_boot {
        CutThrough::clear(&options(state_dir, note.cgroup.as_deref())?)
            .map_err(|error| left(&error))?;
    }
    cut_through_note::remove(state_dir);
    Ok(is_this_boot)
}

/// What stays on the host, for people.
pub(super) fn left(error: &Error) -> String {
    format!("the programs of cut-through: {error}")
}

fn options(state_dir: &Path, cgroup: Option<&Path>) -> Result<Options, String> {
    let instance = cut_through_note::instance(state_dir);
    Ok(Options {
        instance: instance.map_err(|error| format!("{}: {error}", state_dir.display()))?,
        cgroup: cgroup.map(Path::to_owned),
        hash_seed: random().map_err(|error| error.to_string())?,
        guards: guards(),
    })
}

fn guards() -> Guards {
    let Some(wanted) = std::env::var(GUARDS).ok().filter(|_| cfg!(debug_assertions)) else {
        return Guards::ALL;
    };
    let has = |name| wanted.split(',').any(|it| it == name);
    Guards {
        order: has("order"),
        bound: has("bound"),
        splice: has("splice"),
        ring: has("ring"),
        refresh: has("refresh"),
    }
}
