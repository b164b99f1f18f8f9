//! The pages of docs/ on runtimes, run as written: the `sh` blocks of a page are one script, on a machine of its
//! own (`pages/machine.rs`). CONTRIBUTING.md describes the form of a page.

pub(crate) mod machine;
mod page;
mod stage;

use std::path::Path;

use machine::Machine;
use page::Page;

/// Lines of a page that no test runs, such as those that install a package.
const LINES_NOT_RUN_MAX: usize = 12;

#[track_caller]
fn every_block_works(name: &str) {
    let page = Page::read(name);
    assert!(page.run > 0, "docs/{name}.md has no ```sh block");
    assert!(page.left <= LINES_NOT_RUN_MAX, "docs/{name}.md: {} lines are not run", page.left);
    let mut machine = Machine::new();
    for step in &page.stage {
        stage::step(&mut machine, step);
    }
    let output = machine.script(&format!("{name}.md"), &page.script);
    assert!(output.status.success(), "docs/{name}.md fails\n{output}{}", machine.logs());
    let missing = page.missing(&output.stdout);
    assert!(missing.is_empty(), "docs/{name}.md: {}\n{output}", missing.join("\n"));
    eprintln!("docs/{name}.md: {} lines run, {} not", page.run, page.left);
}

/// A test for each page, and one for those that are left out.
macro_rules! pages {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            every_block_works(stringify!($name));
        })*

        #[test]
        fn no_page_is_left_out() {
            let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
            let files = std::fs::read_dir(docs).expect("docs").flatten().map(|entry| entry.path());
            let mut names: Vec<String> = files
                .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
                .filter(|path| std::fs::read_to_string(path).expect("a page").contains("\n```sh\n"))
                .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
                .collect();
            names.sort();
            assert_eq!(names, [$(stringify!($name)),*], "pages with ```sh blocks");
        }
    };
}

pages! {
    cni
    compose
    containerd
    containers
    docker
    kubernetes
    lxc
    nspawn
    podman
}
