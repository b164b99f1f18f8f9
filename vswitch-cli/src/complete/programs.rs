//! The command behind `run --`: a program, and then files.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};

use super::starting;

/// Programs of PATH for the first word of a command, files for the others.
pub(crate) fn programs(current: &OsStr) -> Vec<CompletionCandidate> {
    let is_first = words_behind_escape(std::env::args_os()) <= 1;
    if !is_first || current.to_string_lossy().contains('/') {
        return PathCompleter::any().complete(current);
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<OsString> =
        std::env::split_paths(&folders).flat_map(|folder| programs_in(&folder, current)).collect();
    found.sort();
    found.dedup();
    starting(current, found.into_iter().map(CompletionCandidate::new))
}

/// Programs of a folder that begin like the word so far.
fn programs_in(folder: &Path, current: &OsStr) -> Vec<OsString> {
    let is_program = |entry: &std::fs::DirEntry| {
        let begins = entry.file_name().as_encoded_bytes().starts_with(current.as_encoded_bytes());
        begins
            && std::fs::metadata(entry.path())
                .is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(is_program).map(|entry| entry.file_name()).collect()
}

/// Words behind the `--` of `run`. The shell puts another `--` before the whole line.
fn words_behind_escape(words: impl Iterator<Item = OsString>) -> usize {
    let behind = words.skip_while(|word| word != "--").skip(1).skip_while(|word| word != "--");
    behind.skip(1).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_command_are_counted() {
        let count = |line: &str| words_behind_escape(line.split(' ').map(OsString::from));
        assert_eq!(count("vswitch -- vswitch run --name a -- ba"), 1);
        assert_eq!(count("vswitch -- vswitch run -- cat -- fi"), 3);
        assert_eq!(count("vswitch -- vswitch run ba"), 0);
    }

    #[test]
    fn programs_are_executable_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, mode| {
            std::fs::write(folder.path().join(name), "").unwrap();
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(folder.path().join(name), mode).unwrap();
        };
        file("bash", 0o755);
        file("bad.txt", 0o644);
        file("cat", 0o755);
        assert_eq!(programs_in(folder.path(), OsStr::new("ba")), ["bash"]);
        assert!(programs_in(Path::new("/no/such/folder"), OsStr::new("")).is_empty());
    }
}
