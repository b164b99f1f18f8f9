//! Import circles: two files of a crate must not need each other.
//!
//! A file needs the files that define the names on its paths of `crate::`, `super::` and `self::`;
//! re-exports are followed. Not counted: tests, and what `foo.rs` and a file below `foo/` need of each
//! other, since they are one module.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, assert_none, code, sources};

/// A module by its path below the crate's root, which is empty.
type Module = Vec<String>;

/// The files of a crate.
#[derive(Default)]
struct Crate {
    /// Paths that stand in each module, from the crate's root, with the name that a `use` gives them.
    paths: BTreeMap<Module, Vec<(Module, Option<String>)>>,
}

#[test]
fn files_do_not_import_in_circles() {
    let mut crates = BTreeMap::<String, Crate>::new();
    for source in sources(&["rs"]) {
        let Some((name, file)) = source.path.split_once("/src/") else { continue };
        let is_test = file.split(['/', '.']).any(|part| part == "tests" || part == "testing");
        // A binary with its own root below `src`.
        let (name, file) = match file.strip_prefix("compare/") {
            Some(file) => (format!("{name}/src/compare"), file),
            None => (name.to_owned(), file),
        };
        if !is_test {
            let module = module_of(file);
            let paths = paths_of(&source, &module);
            crates.entry(name).or_default().paths.insert(module, paths);
        }
    }
    let circles = crates.iter().flat_map(|(name, all)| {
        let circles = all.circles().into_iter();
        circles.map(move |circle| format!("{name}: {}", circle.join(" -> ")))
    });
    assert_none("files that need each other", &circles.collect::<Vec<_>>());
}

impl Crate {
    /// The module that defines a path, `depth` re-exports away at most.
    fn definer(&self, path: &[String], depth: u32) -> Module {
        let is_module = |len: &usize| self.paths.contains_key(&path[..*len]);
        let len = (0..=path.len()).rev().find(is_module).unwrap_or(0);
        let (module, rest) = path.split_at(len);
        let Some(name) = rest.first().filter(|_| depth > 0) else { return module.to_vec() };
        let of_module = self.paths.get(module).into_iter().flatten();
        for (target, _) in of_module.filter(|(_, alias)| alias.as_ref() == Some(name)) {
            let full = [target, &rest[1..]].concat();
            if full != path {
                return self.definer(&full, depth - 1);
            }
        }
        module.to_vec()
    }

    fn needs(&self, module: &Module) -> BTreeSet<Module> {
        let definers = self.paths[module].iter().map(|(path, _)| self.definer(path, 8));
        definers.filter(|other| !other.starts_with(module) && !module.starts_with(other)).collect()
    }

    /// The shortest circle through each module that is in one, each circle once.
    fn circles(&self) -> Vec<Vec<String>> {
        let graph: BTreeMap<_, _> = self.paths.keys().map(|m| (m, self.needs(m))).collect();
        let mut found = BTreeMap::new();
        for start in graph.keys() {
            let mut routes = vec![vec![*start]];
            let mut seen = BTreeSet::new();
            while let Some(route) = (!routes.is_empty()).then(|| routes.remove(0)) {
                let last = route[route.len() - 1];
                if graph[last].contains(*start) {
                    let names: BTreeSet<String> = route.iter().map(|m| m.join("::")).collect();
                    let mut circle: Vec<String> = route.iter().map(|m| m.join("::")).collect();
                    circle.push(start.join("::"));
                    found.entry(names).or_insert(circle);
                    break;
                }
                for next in graph[last].iter().filter(|next| seen.insert(*next)) {
                    routes.push([&route[..], &[next]].concat());
                }
            }
        }
        found.into_values().collect()
    }
}

/// `a/b.rs` is the module `a::b`.
fn module_of(file: &str) -> Module {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    let parts = path.split('/').filter(|part| !["mod", "lib", "main"].contains(part));
    parts.map(str::to_owned).collect()
}

/// Paths of the code that is no test, in words from the crate's root.
fn paths_of(source: &Source, module: &Module) -> Vec<(Module, Option<String>)> {
    let mut lines = source.text.lines().map(code).peekable();
    let mut text = String::new();
    while let Some(line) = lines.next() {
        let is_off = ["#[cfg(test)]", "#[cfg(doc)]"].contains(&line.trim());
        let next = lines.peek().copied().unwrap_or_default().trim_start();
        if is_off && next.contains("mod ") && next.ends_with('{') {
            break;
        } else if is_off && next.contains("use ") {
            while lines.next().is_some_and(|line| !line.trim_end().ends_with(';')) {}
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    let mut paths = Vec::new();
    for statement in text.split(';') {
        // A `use` is one tree; other code has single paths.
        match statement.find("use ").filter(|at| is_use(statement, *at)) {
            Some(at) => expand(&statement[at + 4..], &[], module, &mut paths),
            None => singles(statement, module, &mut paths),
        }
    }
    paths
}

/// Whether `use` begins an item: only an attribute, a visibility or the end of another item stands before.
fn is_use(statement: &str, at: usize) -> bool {
    let before = statement[..at].trim_end();
    before.is_empty() || before.ends_with(['}', ']', ')', '{']) || before.ends_with("pub")
}

/// All paths of a tree of `use`.
fn expand(
    tree: &str,
    prefix: &[String],
    module: &Module,
    paths: &mut Vec<(Module, Option<String>)>,
) {
    let tree = tree.trim();
    if let Some((head, inner)) = tree.split_once('{') {
        let words = head.split("::").map(str::trim).filter(|word| !word.is_empty());
        let prefix = [prefix, &words.map(str::to_owned).collect::<Vec<_>>()].concat();
        let inner = inner.trim_end().strip_suffix('}').unwrap_or(inner);
        let (mut depth, mut start) = (0, 0);
        for (at, byte) in inner.char_indices().chain([(inner.len(), ',')]) {
            match byte {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(&inner[start..at], &prefix, module, paths);
                    start = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
    let words = path.split("::").map(str::trim).filter(|word| !word.is_empty());
    let mut words = [prefix, &words.map(str::to_owned).collect::<Vec<_>>()].concat();
    if words.last().is_some_and(|word| word == "self") {
        words.pop();
    }
    let alias = Some(alias.trim()).filter(|alias| !alias.is_empty());
    let name = alias.map(str::to_owned).or_else(|| words.last().cloned());
    if let Some(path) = absolute(&words, module) {
        paths.push((path, name));
    }
}

/// Single paths in code.
fn singles(text: &str, module: &Module, paths: &mut Vec<(Module, Option<String>)>) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    for word in text.split(|c| !is_word(c)).filter(|word| word.contains("::")) {
        let words: Vec<String> = word.split("::").map(str::to_owned).collect();
        if let Some(path) = absolute(&words, module) {
            paths.push((path, None));
        }
    }
}

/// A path from the crate's root; `None` for another crate's.
fn absolute(words: &[String], module: &Module) -> Option<Module> {
    let mut at = match words.first()?.as_str() {
        "crate" => Vec::new(),
        "self" => module.clone(),
        "super" => module[..module.len().checked_sub(1)?].to_vec(),
        // A child of this module, or another crate: then no file is found, and it counts as this file.
        _ => [module, &words[..1]].concat(),
    };
    for word in &words[1..] {
        if word == "super" {
            at.pop();
        } else {
            at.push(word.clone());
        }
    }
    Some(at)
}
