use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn candidate(text: &str, is_temporary: bool) -> Candidate {
    Candidate { address: ip(text), prefix_len: 64, is_temporary }
}

fn set(addresses: &[&str]) -> SourceSet {
    let candidates = addresses.iter().map(|text| candidate(text, false)).collect();
    SourceSet { candidates, held: Vec::new() }
}

fn prefix(text: &str) -> (IpAddr, u8) {
    let (address, len) = text.split_once('/').expect("a prefix");
    (ip(address), len.parse().expect("a length"))
}

fn route(text: &str, set: u16) -> (IpAddr, u8, Option<u16>) {
    let (address, len) = prefix(text);
    (address, len, Some(set))
}

/// The chosen address, as text.
fn chosen(sources: &Sources, destination: &str) -> String {
    chosen_for(sources, "10.99.0.2", destination)
}

fn chosen_for(sources: &Sources, container: &str, destination: &str) -> String {
    let set = sources.find(ip(container), ip(destination));
    set.and_then(|set| set.choose(ip(destination))).map_or("none".into(), |it| it.to_string())
}

#[test]
fn the_longest_prefix_names_the_source() {
    let sets = ["10.20.0.1", "192.0.2.1", "198.51.100.1", "2001:db8::1"].map(|one| set(&[one]));
    let sources = Sources::new(sets.to_vec()).with_layer([
        route("0.0.0.0/0", 1),
        route("10.20.0.0/24", 0),
        route("10.20.0.7/32", 2),
        route("198.51.100.0/24", 2),
        route("::/0", 3),
    ]);
    for (destination, source) in [
        ("1.1.1.1", "192.0.2.1"),
        ("10.20.0.9", "10.20.0.1"),
        ("10.20.0.7", "198.51.100.1"),
        ("198.51.100.9", "198.51.100.1"),
        ("2001:db8:1::1", "2001:db8::1"),
    ] {
        assert_eq!(chosen(&sources, destination), source, "{destination}");
    }
}

#[test]
fn families_are_apart() {
    let sets = vec![set(&["192.0.2.1"]), set(&["2001:db8::1"])];
    let only6 = Sources::new(sets.clone()).with_layer([route("::/0", 1)]);
    assert_eq!(chosen(&only6, "1.1.1.1"), "none");
    let only4 = Sources::new(sets).with_layer([route("0.0.0.0/0", 0)]);
    assert_eq!(chosen(&only4, "2001:db8::9"), "none");
}

#[test]
fn a_layer_above_wins_whatever_the_prefix() {
    let sets = vec![set(&["192.0.2.1"]), set(&["198.51.100.1"])];
    let above = Sources::new(sets).with_layer([route("10.0.0.0/8", 1)]);
    let sources = above.with_layer([route("0.0.0.0/0", 0), route("10.1.0.0/16", 0)]);
    assert_eq!(chosen(&sources, "10.1.0.1"), "198.51.100.1");
    assert_eq!(chosen(&sources, "11.1.0.1"), "192.0.2.1");
}

#[test]
fn a_route_without_a_set_leaves_the_choice_to_the_next_layer() {
    let sets = vec![set(&["192.0.2.1"]), set(&["198.51.100.1"])];
    let (address, len) = prefix("10.0.0.0/8");
    let thrown = (address, len, None);
    let above = Sources::new(sets).with_layer([route("0.0.0.0/0", 0), thrown]);
    let above = above.with_layer([route("10.1.0.0/16", 0), thrown]);
    let sources = above.with_layer([route("0.0.0.0/0", 1)]);
    assert_eq!(chosen(&sources, "11.1.0.1"), "192.0.2.1");
    assert_eq!(chosen(&sources, "10.1.0.1"), "192.0.2.1");
    assert_eq!(chosen(&sources, "10.2.0.1"), "198.51.100.1");
}

#[test]
fn some_containers_have_layers_of_their_own() {
    let sets = vec![set(&["192.0.2.1"]), set(&["198.51.100.1"]), set(&["2001:db8::1"])];
    let of = |number| Sources::new(sets.clone()).with_layer([route("0.0.0.0/0", number)]);
    let sources = of(0).with_narrower(prefix("10.99.0.5/32"), of(1));
    let sources = sources.with_narrower(prefix("10.99.0.0/28"), of(0));
    let six = Sources::new(sets.clone()).with_layer([route("::/0", 2)]);
    let sources = sources.with_narrower(prefix("fd00::5/128"), six);
    assert_eq!(chosen_for(&sources, "10.99.0.5", "1.1.1.1"), "198.51.100.1");
    assert_eq!(chosen_for(&sources, "10.99.0.6", "1.1.1.1"), "192.0.2.1");
    assert_eq!(chosen_for(&sources, "10.99.9.6", "1.1.1.1"), "192.0.2.1");
    assert_eq!(chosen_for(&sources, "fd00::5", "2a00::1"), "2001:db8::1");
    assert_eq!(chosen_for(&sources, "fd00::6", "2a00::1"), "none");
}

#[test]
fn routes_that_say_the_same_are_left_out() {
    let sets = vec![set(&["192.0.2.1"]), set(&["198.51.100.1"])];
    let sources = Sources::new(sets).with_layer([
        route("0.0.0.0/0", 0),
        route("10.0.0.0/8", 0),
        route("10.1.0.0/16", 1),
        route("10.1.1.0/24", 0),
    ]);
    assert_eq!(sources.levels.len(), 3);
    assert_eq!(chosen(&sources, "10.1.1.1"), "192.0.2.1");
    assert_eq!(chosen(&sources, "10.1.2.1"), "198.51.100.1");
}

/// Rule 6.
#[test]
fn a_source_with_the_label_of_the_destination_is_preferred() {
    let both = set(&["fd00::1", "2001:db8::1", "2002:c000:201::1"]);
    for (destination, source) in [
        ("2a00::1", "2001:db8::1"),
        ("fd12::1", "fd00::1"),
        ("fc00::1", "fd00::1"),
        ("2002::1", "2002:c000:201::1"),
    ] {
        assert_eq!(both.choose(ip(destination)), Some(ip(source)), "{destination}");
    }
    // One of another label is better than none.
    assert_eq!(set(&["fd00::1"]).choose(ip("2a00::1")), Some(ip("fd00::1")));
}

/// Rule 7, as far as an address for hours needs it.
#[test]
fn a_temporary_address_is_used_only_without_another() {
    let candidates = vec![candidate("2001:db8::7", true), candidate("2a00::1", false)];
    let mixed = SourceSet { candidates, held: Vec::new() };
    assert_eq!(mixed.choose(ip("2001:db8::9")), Some(ip("2a00::1")));
    let candidates = vec![candidate("2001:db8::7", true), candidate("fd00::1", false)];
    let mixed = SourceSet { candidates, held: Vec::new() };
    assert_eq!(mixed.choose(ip("2001:db8::9")), Some(ip("2001:db8::7")), "the label comes first");
}

/// Rule 8, within the subnet's prefix only.
#[test]
fn the_longest_common_prefix_decides_then_the_order() {
    let two = set(&["2001:db8:1::1", "2001:db8:2::1"]);
    assert_eq!(two.choose(ip("2001:db8:2:3::1")), Some(ip("2001:db8:2::1")));
    assert_eq!(two.choose(ip("2001:db8:1:3::1")), Some(ip("2001:db8:1::1")));
    assert_eq!(two.choose(ip("2a00::1")), Some(ip("2001:db8:1::1")));
    let one_subnet = set(&["2001:db8::1", "2001:db8::9"]);
    assert_eq!(one_subnet.choose(ip("2001:db8::8")), Some(ip("2001:db8::1")));
}
