//! House rules (CONTRIBUTING.md) that no compiler checks, over the whole tree.
#![forbid(unsafe_code)]

mod circles;

use std::path::{Path, PathBuf};

/// A file grows a second idea before it grows longer than this.
const LINES_MAX: usize = 450;

/// Half of the files without tests have at most this many lines.
const LINES_MEDIAN_MAX: usize = 129;

/// Identifiers that nothing bears any more. Short ones that are English, too, are left out.
const PRIVATE_WORDS: [&str; 40] = [
    "Arrival",
    "Canvas",
    "Complaint",
    "FORGIVE",
    "FREED_MAX",
    "GATHER",
    "Knocks",
    "NEWS_ROWS",
    "PORT_REST",
    "Restraint",
    "SHARE_OF_WHAT_IS_LEFT",
    "begin_lap",
    "given_back",
    "is_silent",
    "make_room",
    "make_way",
    "news_lost",
    "once_free",
    "publish_all",
    "set_patience",
    "take_back",
    "Traits",
    "Locals",
    "Contacts",
    "Leaving",
    "Parcel",
    "Fate",
    "Manner",
    "Gate",
    "Debt",
    "News",
    "Wanted",
    "Settled",
    "Bell",
    "Way",
    "Silence",
    "RESTRAINT_PERIOD",
    "Outer",
    "Held",
    "Place",
];

/// Where unsafe code may stand; everything else forbids it.
const UNSAFE_PATHS: [&str; 6] = [
    "fastpath/src/sys",
    "fastpath/src/pool",
    "fastpath/src/ring",
    "vswitch/sys/",
    "vswitch/cutthrough/src/sys",
    "vswitch/cutthrough/src/shared.rs",
];

/// The crate that holds unsafe rooms cannot forbid it as a whole.
const UNSAFE_CRATES: [&str; 3] =
    ["fastpath/src/lib.rs", "vswitch/sys/src/lib.rs", "vswitch/cutthrough/src/lib.rs"];

/// These files name what they forbid.
const OWN: &str = "testkit/tests/tidy/";

/// A file of the tree: its path from the root, with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// All files with one of these extensions, without what was built.
fn sources(extensions: &[&str]) -> Vec<Source> {
    let (root, mut found) = (root(), Vec::new());
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("folder").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let skipped = ["target", "corpus", "artifacts", "coverage"].contains(&name.as_str());
            if path.is_dir() && !skipped && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
                let text = std::fs::read_to_string(&path).expect("text");
                let path = path.strip_prefix(&root).expect("below the root");
                found.push(Source { path: path.to_string_lossy().into_owned(), text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no {extensions:?} below {}", root.display());
    found
}

/// `PATH:LINE: TEXT` of the Rust lines that `is_bad`, given the lines of the file and an index.
fn rust_lines(is_bad: impl Fn(&Source, &[&str], usize) -> bool) -> Vec<String> {
    let mut bad = Vec::new();
    for source in sources(&["rs"]).iter().filter(|source| !source.path.starts_with(OWN)) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            if is_bad(source, &lines, n) {
                bad.push(format!("{}:{}: {}", source.path, n + 1, line.trim()));
            }
        }
    }
    bad
}

/// The code of a line, without a comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

fn is_unsafe(line: &str) -> bool {
    let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait", "unsafe extern"];
    words.iter().any(|word| code(line).contains(word))
}

#[track_caller]
fn assert_none(what: &str, bad: &[String]) {
    assert!(bad.is_empty(), "{what}:\n  {}", bad.join("\n  "));
}

#[test]
fn files_are_short() {
    let long = sources(&["rs", "sh", "py"])
        .iter()
        .map(|source| (source.text.lines().count(), &source.path))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect::<Vec<_>>();
    assert_none("too long: look for the second idea", &long);
}

#[test]
fn files_are_short_in_the_median() {
    let is_test = |path: &str| path.split(['/', '.']).any(|part| part == "tests");
    let files = sources(&["rs"]).into_iter();
    let files =
        files.filter(|source| !is_test(&source.path) && !source.path.starts_with("testkit/"));
    let mut lines: Vec<_> = files.map(|source| source.text.lines().count()).collect();
    lines.sort_unstable();
    let median = lines[lines.len() / 2];
    assert!(median <= LINES_MEDIAN_MAX, "the median file has {median} lines: split the longest");
}

/// Words that this project once had for itself; the field has others (docs/glossary.md).
#[test]
fn words_are_those_of_the_field() {
    let bad = rust_lines(|_, lines, n| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        code(lines[n]).split(|c| !is_word(c)).any(|word| PRIVATE_WORDS.contains(&word))
    });
    assert_none("private words", &bad);
}

#[test]
fn unsafe_stays_in_its_rooms() {
    let bad = rust_lines(|source, lines, n| {
        is_unsafe(lines[n]) && !UNSAFE_PATHS.iter().any(|room| source.path.starts_with(room))
    });
    assert_none("unsafe outside its rooms", &bad);
}

#[test]
fn every_unsafe_block_argues() {
    let bad = rust_lines(|_, lines, n| {
        // The comment ends directly above, or above the statement that the block stands in.
        let above = lines[..n].iter().rev().take(12);
        let stops = |line: &&&str| !line.trim().is_empty() && !line.trim_end().ends_with('}');
        let argued = above.take_while(stops).any(|line| line.contains("SAFETY:"));
        code(lines[n]).contains("unsafe {") && !argued
    });
    assert_none("no SAFETY comment above", &bad);
}

#[test]
fn every_crate_forbids_unsafe() {
    let bad: Vec<String> = sources(&["rs"])
        .into_iter()
        .filter(|s| s.path.ends_with("src/lib.rs") || s.path.ends_with("src/main.rs"))
        .filter(|s| !UNSAFE_CRATES.contains(&s.path.as_str()))
        .filter(|s| !s.text.contains("#![forbid(unsafe_code)]"))
        .map(|s| s.path)
        .collect();
    assert_none("no #![forbid(unsafe_code)]", &bad);
}

#[test]
fn nothing_is_unfinished_or_switched_off() {
    let marks = ["todo!(", "unimplemented!(", "#[ignore", "FIXME", "XXX"];
    // Not a test switched off, but a process that another test starts.
    let is_helper = |line: &str| line.contains("other test") || line.contains("another test");
    let bad = rust_lines(|_, lines, n| {
        marks.iter().any(|mark| lines[n].contains(mark))
            && !(lines[n].contains("#[ignore = ") && is_helper(lines[n]))
    });
    assert_none("unfinished, or switched off", &bad);
}

/// Paths of the machine that the code was written on mean nothing elsewhere.
#[test]
fn no_path_of_somebodys_machine() {
    let bad: Vec<String> = sources(&["rs", "sh", "py", "md", "toml", "yml"])
        .iter()
        .filter(|source| !source.path.starts_with(OWN))
        .flat_map(|source| source.text.lines().map(move |line| (source, line)))
        .filter(|(_, line)| ["/home/", "/root/", "/work/"].iter().any(|path| line.contains(path)))
        .map(|(source, line)| format!("{}: {}", source.path, line.trim()))
        .collect();
    assert_none("paths of one machine", &bad);
}

/// A word in backquotes that looks like a file of this tree is one.
#[test]
fn documents_mention_files_that_exist() {
    let root = root();
    let folders: Vec<String> = std::fs::read_dir(&root)
        .expect("root")
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| format!("{}/", entry.file_name().to_string_lossy()))
        .collect();
    let mut bad = Vec::new();
    for source in sources(&["md"]) {
        let quoted = source.text.split('`').skip(1).step_by(2);
        let links = source.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let folder = Path::new(&source.path).parent().expect("a folder");
        for word in quoted.filter(|word| folders.iter().any(|f| word.starts_with(f.as_str()))) {
            let path =
                word.trim_end_matches(['*', ':', '.']).split("::").next().unwrap_or_default();
            let is_pattern = path.contains(['{', '*', ' ', '<']);
            let is_built = path.starts_with("target/");
            if !is_pattern && !is_built && !root.join(path).exists() {
                bad.push(format!("{}: {word}", source.path));
            }
        }
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let path = link.split('#').next().unwrap_or_default();
            if !root.join(folder).join(path).exists() {
                bad.push(format!("{}: link to {link}", source.path));
            }
        }
    }
    assert_none("mentioned, but not there", &bad);
}

#[test]
fn every_command_is_in_the_readme() {
    let root = root();
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect(path);
    let readme = read("README.md");
    let commands = std::fs::read_dir(root.join("vswitch-cli/src/commands")).expect("commands");
    let mut bad = Vec::new();
    for path in commands.flatten().map(|entry| entry.path()) {
        let name = path.file_stem().expect("a name").to_string_lossy().replace('_', "-");
        if path.is_file() && !readme.contains(&format!("`{name}`")) {
            bad.push(format!("README.md says nothing of `{name}`"));
        }
    }
    assert_none("undocumented", &bad);
}

#[test]
fn every_drop_reason_is_documented() {
    let root = root();
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect(path);
    let reasons = read("vswitch/src/datapath/drop_reason.rs");
    let names = reasons.lines().filter_map(|line| line.split(" = \"").nth(1)?.split('"').next());
    let names: Vec<_> = names.collect();
    assert!(names.len() > 5, "no reasons found: {names:?}");
    let document = read("docs/metrics.md");
    let bad = names.iter().filter(|name| !document.contains(&format!("| `{name}` |")));
    assert_none("not in docs/metrics.md", &bad.map(ToString::to_string).collect::<Vec<_>>());
}

#[test]
fn every_dependency_has_a_reason() {
    let root = root();
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect(path);
    let manifest = read("Cargo.toml");
    let section = manifest.split("[workspace.dependencies]").nth(1).expect("the section");
    let section = section.split("\n[").next().expect("its end");
    let names = section.lines().filter(|line| !line.contains("path = "));
    let names = names.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.trim());
    let document = read("docs/dependencies.md");
    let bad = names.filter(|name| !document.contains(&format!("`{name}`")));
    assert_none("not in docs/dependencies.md", &bad.map(str::to_owned).collect::<Vec<_>>());
}
