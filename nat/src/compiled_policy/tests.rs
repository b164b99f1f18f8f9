use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::zone::Zone;

fn published(port: u16, to_port: u16) -> Published {
    Published {
        transport: Transport::Udp,
        address: None,
        ports: port..=port,
        zone: Zone(0),
        to_v4: Some([10, 99, 0, 2].into()),
        to_v6: None,
        to_port,
        owner: OwnerId(1),
        allow_from: Vec::new(),
    }
}

fn policy(published: Vec<Published>) -> Policy {
    let host = [192, 0, 2, 1].into();
    Policy {
        external_v4: Some(host),
        host_addrs: vec![host.into()],
        published,
        ..Policy::default()
    }
}

fn compile(published: Vec<Published>, previous: &Arc<CompiledPolicy>) -> Arc<CompiledPolicy> {
    CompiledPolicy::compile(policy(published), Some(previous))
}

fn generation(policy: &CompiledPolicy, port: u16) -> Option<u64> {
    let [remote, host] = [[198, 51, 100, 7], [192, 0, 2, 1]].map(|ip| IpAddr::from(ip).into());
    policy.target(Transport::Udp, remote, host, port).map(|target| target.generation)
}

#[test]
fn a_policy_that_stays_keeps_its_epoch() {
    let first = CompiledPolicy::compile(policy(vec![published(53, 53)]), None);
    let again = compile(vec![published(53, 53)], &first);
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!((first.epoch(), compile(Vec::new(), &first).epoch()), (1, 2));
}

#[test]
fn an_entry_keeps_its_generation_while_it_leads_to_its_target() {
    let first = CompiledPolicy::compile(policy(vec![published(53, 53)]), None);
    let more = compile(vec![published(54, 54), published(53, 53)], &first);
    assert_eq!((generation(&more, 53), generation(&more, 54)), (Some(1), Some(2)));
    assert_eq!(first.revoked_by(&more).count(), 0);
    let narrowed = Published { allow_from: vec![([10, 0, 0, 0].into(), 8)], ..published(53, 53) };
    let narrowed = compile(vec![narrowed], &more);
    assert_eq!(generation(&narrowed, 53), Some(1), "connections of those still allowed go on");
    assert_eq!(more.revoked_by(&narrowed).count(), 2);
    let elsewhere = compile(vec![published(53, 5353)], &narrowed);
    assert_eq!(generation(&elsewhere, 53), Some(4));
}

/// A worker may skip policies. It still learns that an entry was gone for a while.
#[test]
fn an_entry_that_comes_back_is_another_one() {
    let first = CompiledPolicy::compile(policy(vec![published(53, 53), published(54, 54)]), None);
    let without = compile(vec![published(54, 54)], &first);
    let back = compile(vec![published(53, 53), published(54, 54)], &without);
    assert_eq!((generation(&back, 53), generation(&back, 54)), (Some(3), Some(1)));
    let revoked: Vec<_> = first.revoked_by(&back).map(|entry| *entry.ports.start()).collect();
    assert_eq!(revoked, [53]);
}

/// `0.0.0.0:53` and `[::]:53` may lead to different containers, and `192.0.2.2:53` to a third one.
#[test]
fn an_entry_for_all_addresses_of_a_family_is_one_of_the_hosts() {
    let at = |address: &str, owner: u32| Published {
        address: Some(address.parse().expect("an address")),
        to_v6: Some([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2].into()),
        owner: OwnerId(owner),
        ..published(53, 53)
    };
    let mut policy = policy(vec![at("0.0.0.0", 1), at("::", 2), at("192.0.2.2", 3)]);
    let more = ["192.0.2.2", "2001:db8::1"].map(|text| text.parse::<IpAddr>().expect("an address"));
    policy.host_addrs.extend(more);
    let policy = CompiledPolicy::compile(policy, None);
    let address = |text: &str| Address::from(text.parse::<IpAddr>().expect("an address"));
    let owner = |external: &str| {
        let target = policy.target(Transport::Udp, address("198.51.100.7"), address(external), 53);
        target.map(|target| target.owner.0)
    };
    assert_eq!([owner("192.0.2.1"), owner("192.0.2.2")], [Some(1), Some(3)]);
    assert_eq!([owner("2001:db8::1"), owner("192.0.2.3")], [Some(2), None]);
    let server = InternalEndpoint { zone: Zone(0), address: address("10.99.0.2"), port: 53 };
    let seen_as = |external| policy.published_as(Transport::Udp, server, address(external));
    assert_eq!(seen_as("192.0.2.1").map(|(port, _)| port), Some(53));
}

#[test]
fn policies_that_publish_the_same_share_the_lists() {
    let first = CompiledPolicy::compile(policy(vec![published(53, 53)]), None);
    let moved =
        Policy { external_v4: Some([192, 0, 2, 9].into()), ..policy(vec![published(53, 53)]) };
    let second = CompiledPolicy::compile(moved, Some(&first));
    assert!(second.epoch() > first.epoch() && Arc::ptr_eq(&first.lists, &second.lists));
    let third = compile(vec![published(53, 54)], &second);
    assert_eq!(generation(&third, 53), Some(3));
    assert_eq!(first.revoked_by(&third).count(), 1);
}

/// First port in hundreds, and whether it is published at one address.
type Start = (u16, bool);
/// The container's port, its owner, and whether the range is longer.
type Rest = (u16, u32, bool);

/// Entries in an order that follows the rest: a change of it moves them.
fn entries(all: &BTreeMap<Start, Rest>) -> Vec<Published> {
    let entry = |(&(port, is_at), &(to_port, owner, is_longer)): (&Start, &Rest)| Published {
        address: is_at.then(|| [192, 0, 2, 9].into()),
        ports: 100 * port..=100 * port + 20 * u16::from(is_longer),
        owner: OwnerId(owner),
        ..published(port, to_port)
    };
    let mut entries: Vec<_> = all.iter().map(entry).collect();
    entries.sort_by_key(|entry| (entry.owner.0, entry.to_port));
    entries
}

/// Some that come, change or go at once.
fn edits() -> impl Strategy<Value = Vec<(Start, Option<Rest>)>> {
    let rest = (80..83u16, 0..3u32, any::<bool>());
    vec(((1..16u16, any::<bool>()), option::weighted(0.7, rest)), 0..4)
}

proptest! {
    /// The lists of a policy are those of its entries, whatever was before; generations and revocations are those that a
    /// look at each pair of entries gives.
    #[test]
    fn a_policy_that_follows_is_as_one_that_is_compiled_anew(changes in vec(edits(), 1..20)) {
        let mut previous = Arc::new(CompiledPolicy::none(1));
        let mut all = BTreeMap::new();
        for edits in changes {
            for (start, rest) in edits {
                match rest {
                    Some(rest) => all.insert(start, rest),
                    None => all.remove(&start),
                };
            }
            let step = entries(&all);
            let next = compile(step.clone(), &previous);
            let anew = CompiledPolicy::compile(policy(step.clone()), None);
            prop_assert_eq!(&next.lists.by_external, &anew.lists.by_external);
            prop_assert_eq!(&next.lists.by_internal, &anew.lists.by_internal);
            prop_assert_eq!(&next.lists.by_port, &anew.lists.by_port);
            let former = &previous.source.published;
            let known = |entry: &Published| {
                let start = |it: &Published| (it.transport, it.address, *it.ports.start());
                former.iter().position(|it| start(it) == start(entry))
            };
            let generation = |entry: &Published| {
                known(entry).and_then(|number| previous.generation_of(entry, number))
            };
            let expected: Vec<_> =
                step.iter().map(|it| generation(it).unwrap_or(next.epoch)).collect();
            prop_assert_eq!(&next.lists.generations, &expected);
            let stays = |(number, entry): (usize, &Published)| {
                let found = step.iter().position(|it| it == entry);
                found.is_some_and(|at| expected[at] == previous.lists.generations[number])
            };
            let revokes = !former.iter().enumerate().all(stays);
            prop_assert_eq!(next.revoked_epoch == next.epoch && next.epoch > previous.epoch, revokes);
            prop_assert_eq!(previous.revoked_by(&next).count() > 0, revokes);
            previous = next;
        }
    }
}
