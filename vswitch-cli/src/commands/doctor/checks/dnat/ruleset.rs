//! Tables, chains and maps of what `nft list ruleset` prints.

/// A table.
#[derive(Debug, Default)]
pub(super) struct Table<'a> {
    pub(super) name: &'a str,
    /// Chains with their rules, each on one line.
    pub(super) chains: Vec<(&'a str, Vec<String>)>,
    /// Maps with their elements.
    maps: Vec<(&'a str, String)>,
}

/// The block of a table that is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    None,
    Chain,
    Map,
    Other,
}

/// Reads the tables; other lines are left out.
pub(super) fn tables(text: &str) -> Vec<Table<'_>> {
    let (mut tables, mut block) = (Vec::<Table<'_>>::new(), Block::None);
    // A rule or a list of elements that goes on.
    let mut open = String::new();
    for line in text.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["table", _, name, "{", ..] = words[..] {
            tables.push(Table { name, ..Table::default() });
            (block, open) = (Block::None, String::new());
            continue;
        }
        let Some(table) = tables.last_mut() else { continue };
        match (block, &words[..]) {
            (Block::None, [kind, name, "{"]) => match *kind {
                "chain" => {
                    table.chains.push((name, Vec::new()));
                    block = Block::Chain;
                }
                "map" => {
                    table.maps.push((name, String::new()));
                    block = Block::Map;
                }
                _ => block = Block::Other,
            },
            (Block::None, _) => {}
            (_, ["}"]) if open.is_empty() => block = Block::None,
            _ => {
                open.push(' ');
                open.push_str(line);
                if open.matches('{').count() > open.matches('}').count() {
                    continue;
                }
                let line = std::mem::take(&mut open);
                match block {
                    Block::Chain => {
                        table.chains.last_mut().into_iter().for_each(|it| it.1.push(line.clone()));
                    }
                    Block::Map if line.contains("elements = {") => {
                        let elements = inner(&line).to_owned();
                        table.maps.last_mut().into_iter().for_each(|it| it.1.clone_from(&elements));
                    }
                    _ => {}
                }
            }
        }
    }
    tables
}

impl Table<'_> {
    /// What a rule has before the word `map` or `vmap`, and the elements after it: its own, or by name.
    pub(super) fn map_of<'a>(&'a self, rule: &'a str) -> (&'a str, Option<&'a str>) {
        let found = [" map ", " vmap "].iter().find_map(|word| rule.split_once(word));
        let Some((before, after)) = found else { return (rule, None) };
        let Some(name) = after.strip_prefix('@') else { return (before, Some(inner(after))) };
        let name = name.split_whitespace().next().unwrap_or_default();
        let known = self.maps.iter().find(|(known, _)| *known == name);
        (before, known.map(|(_, elements)| elements.as_str()))
    }
}

/// The text between braces.
fn inner(text: &str) -> &str {
    let text = text.split_once('{').map_or(text, |(_, text)| text);
    text.split_once('}').map_or(text, |(text, _)| text)
}
