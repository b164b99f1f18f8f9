//! A page of docs/ as one script: its `sh` blocks at the lines where they stand, so that the shell's errors
//! name lines of the page. CONTRIBUTING.md describes the form.

use std::path::Path;

/// Starts the line that the script prints at the end of a block; the block's last line follows.
const MARK: &str = "\u{1e}block ";

/// A page that a test runs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) name: String,
    /// Steps before its commands.
    pub(super) stage: Vec<String>,
    /// Texts that the blocks show: the last line of the block, and the text.
    shows: Vec<(usize, String)>,
    pub(super) script: String,
    /// Lines that are run.
    pub(super) run: usize,
    /// Lines of `console` blocks, which are not.
    pub(super) left: usize,
}

/// Programs that only root may run.
const OF_ROOT: [&str; 7] = ["vswitch", "docker", "docker-compose", "podman", "ctr", "crictl", "ip"];

/// The first such program of a line that does not stand behind `sudo`.
fn needs_root(line: &str) -> Option<&str> {
    let commands = line.split([';', '|', '(', '`']).map(str::trim_start);
    commands
        .filter_map(|command| {
            let mut words = command.split_whitespace().filter(|word| !OF_SHELL.contains(word));
            words.next().filter(|program| OF_ROOT.contains(program))
        })
        .next()
}

/// Words before a command.
const OF_SHELL: [&str; 6] = ["if", "until", "while", "do", "then", "!"];

/// Where a line of the page stands.
#[derive(PartialEq)]
enum Within {
    Text,
    Stage,
    Sh,
    Console,
    Other,
}

impl Page {
    /// Reads docs/NAME.md.
    #[track_caller]
    pub(super) fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/{name}.md"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}.md: {e}"));
        Self::parse(name, &text)
    }

    #[track_caller]
    pub(super) fn parse(name: &str, text: &str) -> Self {
        let mut page = Self { name: name.to_owned(), ..Self::default() };
        let (mut within, mut block) = (Within::Text, None);
        let mut here_document: Option<String> = None;
        for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
            let mut run = String::new();
            match within {
                Within::Text if line == "<!-- stage" => within = Within::Stage,
                Within::Text if line.starts_with("```") => {
                    within = match line {
                        "```sh" => Within::Sh,
                        "```console" => Within::Console,
                        _ => Within::Other,
                    };
                }
                Within::Text => {
                    if let Some(text) = comment(line, "shows ") {
                        let block =
                            block.unwrap_or_else(|| panic!("line {number}: no block above"));
                        page.shows.push((block, text.to_owned()));
                    } else if let Some(step) = comment(line, "stage: ") {
                        page.stage.push(step.to_owned());
                    }
                }
                Within::Stage if line == "-->" => within = Within::Text,
                Within::Stage => page.stage.push(line.to_owned()),
                Within::Sh | Within::Console | Within::Other if line == "```" => {
                    if within == Within::Sh {
                        assert_eq!(here_document, None, "{name}.md:{number}");
                        run = format!("printf '\\n{MARK}{number}\\n'");
                        block = Some(number);
                    }
                    within = Within::Text;
                }
                Within::Sh => {
                    if here_document.is_some() {
                        here_document = here_document.filter(|end| end != line);
                    } else if let Some(program) = needs_root(line) {
                        panic!("{name}.md:{number}: {program} needs sudo");
                    }
                    // Where the first fails, the shell goes on.
                    assert!(
                        !line.contains(" && "),
                        "{name}.md:{number}: one command a line, no &&"
                    );
                    if let Some((_, end)) = line.split_once("<<'") {
                        here_document = end.split_once('\'').map(|(end, _)| end.to_owned());
                    }
                    run = line.to_owned();
                    page.run += usize::from(!line.trim().is_empty());
                }
                Within::Console => page.left += usize::from(!line.trim().is_empty()),
                Within::Other => {}
            }
            page.script += &run;
            page.script.push('\n');
        }
        assert!(within == Within::Text, "{name}.md ends within a block");
        page
    }

    /// The texts that the blocks should have shown in this output, and have not.
    pub(super) fn missing(&self, output: &str) -> Vec<String> {
        let mut parts: Vec<(usize, &str)> = Vec::new();
        for part in output.split("\n\u{1e}") {
            let (line, rest) = part.split_once('\n').unwrap_or((part, ""));
            // The mark ends the output of its block; the next block's output follows it.
            if let Some(number) = line.strip_prefix(&MARK[1..]) {
                if let Some((at, _)) = parts.last_mut() {
                    *at = number.parse().expect("a number of a line");
                }
                parts.push((0, rest));
            } else {
                parts.push((0, part));
            }
        }
        let shown = |block: usize, text: &str| {
            parts.iter().any(|(number, output)| *number == block && output.contains(text))
        };
        let missing = self.shows.iter().filter(|(block, text)| !shown(*block, text));
        missing
            .map(|(block, text)| format!("the block above line {block} does not show {text:?}"))
            .collect()
    }
}

/// The text of a comment of one line that begins with `word`.
fn comment<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    line.strip_prefix("<!-- ")?.strip_prefix(word)?.strip_suffix(" -->")
}

#[test]
fn a_page_becomes_a_script() {
    let text = "# P\n\n<!-- stage: net x -->\n```sh\necho one\n\necho two\n```\n<!-- shows two -->\nText.\n\
```console\napt install p\n```\n```toml\na = 1\n```\n```sh\necho three\n```\n<!-- shows one -->\n";
    let page = Page::parse("p", text);
    assert_eq!((page.stage.clone(), page.run, page.left), (vec!["net x".to_owned()], 3, 1));
    let lines: Vec<&str> = page.script.lines().collect();
    assert_eq!((lines[4], lines[6], lines[11]), ("echo one", "echo two", ""));
    let output = std::process::Command::new("bash").args(["-c", &page.script]).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    assert_eq!(page.missing(&output), ["the block above line 19 does not show \"one\""]);
}
