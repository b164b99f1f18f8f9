use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use serde_json::json;

use super::{Document, Store, StoreError, VERSION, parse};

/// A document on disk with one record of each kind.
fn sample() -> serde_json::Value {
    json!({
        "version": 1,
        "networks": [{
            "name": "br0",
            "subnet": "10.99.0.0/16",
            "subnet6": "fd12:3456:789a::/64",
            "gateway_mac": "02:00:00:00:00:01",
            "next_ipv4": "10.99.0.7",
            "next_ipv6": "fd12:3456:789a::7"
        }],
        "attachments": [{
            "name": "a",
            "network": "br0",
            "ifname": "eth0",
            "mac": "02:00:00:00:00:02",
            "ipv4": "10.99.0.2",
            "ipv6": "fd12:3456:789a::2",
            "netns": {
                "reference": {"name": "a"},
                "path": "/run/netns/a",
                "id": {"dev": 4, "ino": 4026532000_u64},
                "cookie": 17,
                "boot_id": "6f1d"
            }
        }],
        "statics": [
            {"network": "br0", "mac": "02:00:00:00:00:03", "vlan": 0, "port": "a"},
            {"network": "br0", "mac": "02:00:00:00:00:04", "vlan": 7, "port": null}
        ]
    })
}

fn document() -> Document {
    serde_json::from_value(sample()).unwrap()
}

#[test]
fn what_a_later_document_lacks_is_lost_but_not_what_ended() {
    let before = document();
    let none = Default::default();
    assert!(super::lost(&before, &before, &none).is_empty());
    let mut after = document();
    after.attachments.clear();
    after.statics.retain(|entry| entry.port.is_none());
    let lost = super::lost(&before, &after, &none);
    assert_eq!(lost, ["attachment a on br0", "static entry 02:00:00:00:00:03 of br0"]);
    let gone = [("a".parse().unwrap(), "br0".to_owned())].into();
    assert!(super::lost(&before, &after, &gone).is_empty());
    let mut richer = document();
    let publish = json!([{"ports": "8080:80"}, {"ports": "8081:80"}]);
    richer.attachments[0].publish = serde_json::from_value(publish).unwrap();
    richer.attachments[0].further_addresses = vec!["10.99.0.9".parse().unwrap()];
    richer.networks[0].reserved = vec!["10.99.0.77".parse().unwrap()];
    assert_eq!(super::lost(&richer, &before, &none).len(), 4);
}

/// Copies are bounded, and the newest is never the one that goes.
#[test]
fn a_copy_takes_the_place_of_the_oldest() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let mut last = None;
    for _ in 0..super::backup::BACKUPS_MAX + 2 {
        store.save(&document()).unwrap();
        let path = store.back_up().unwrap();
        assert_ne!(last.replace(path.clone()), Some(path.clone()));
        assert!(parse(&path, &fs::read(&path).unwrap()).is_ok());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let files = fs::read_dir(directory.path()).unwrap().flatten();
    let copies = files.filter(|it| it.file_name().to_string_lossy().contains("backup"));
    assert_eq!(copies.count(), super::backup::BACKUPS_MAX);
}

/// Not those of a save meanwhile: a start saves records that it has tried again.
#[test]
fn a_copy_has_the_bytes_that_were_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let text = serde_json::to_vec(&document()).unwrap();
    fs::write(directory.path().join("state.json"), &text).unwrap();
    let store = Store::open(directory.path()).unwrap();
    store.load().unwrap();
    store.save(&Document { attachments: Vec::new(), ..document() }).unwrap();
    assert_eq!(fs::read(store.back_up().unwrap()).unwrap(), text);
}

/// Makes something in the place of a file; the last parameter is the target of a link.
type Make = fn(&Path, &Path);

#[test]
fn what_is_no_file_of_ours_is_refused_at_once_and_stays() {
    let fifo: Make = |path, _| {
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    };
    let odd: [(&str, Make, &str); 6] = [
        ("FIFO", fifo, "not a regular file"),
        ("directory", |path, _| fs::create_dir(path).unwrap(), "not a regular file"),
        ("socket", |path, _| drop(UnixListener::bind(path).unwrap()), "not a regular file"),
        ("null", |path, _| symlink("/dev/null", path).unwrap(), "symbolic link"),
        ("link", |path, to| symlink(to, path).unwrap(), "symbolic link"),
        ("lost link", |path, _| symlink("/none/state.json", path).unwrap(), "symbolic link"),
    ];
    for (kind, make, expected) in odd {
        for name in ["state.json", "lock", "state.json.new"] {
            let directory = tempfile::tempdir().unwrap();
            let elsewhere = directory.path().join("elsewhere");
            let text = serde_json::to_string(&document()).unwrap();
            fs::write(&elsewhere, &text).unwrap();
            let path = directory.path().join(name);
            make(&path, &elsewhere);
            let before = fs::symlink_metadata(&path).unwrap();
            let refused = Store::open(directory.path()).and_then(|store| {
                store.load()?;
                store.save(&document())
            });
            let error = refused.unwrap_err().to_string();
            let is_clear = error.contains(expected) && error.contains(&*path.to_string_lossy());
            assert!(is_clear, "{kind} {name}: {error}");
            assert_eq!(fs::read_to_string(&elsewhere).unwrap(), text, "{kind} {name}");
            let after = fs::symlink_metadata(&path).unwrap();
            assert_eq!(before.ino(), after.ino(), "{kind} {name}");
        }
    }
}

/// Empty, of zeros, and larger than the memory that it may take: a file with a hole needs none.
#[test]
fn a_document_of_an_odd_size_is_refused_and_stays() {
    for (size, expected) in [(0, "damaged"), (100 << 20, "damaged"), (1 << 40, "MiB is the most")] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        fs::File::create(&path).unwrap().set_len(size).unwrap();
        let error = Store::open(directory.path()).unwrap().load().unwrap_err().to_string();
        let is_clear = error.contains(expected) && error.contains("move it away");
        assert!(is_clear && error.contains("state.json"), "{size}: {error}");
        assert_eq!(fs::metadata(&path).unwrap().len(), size);
    }
}

#[test]
fn keeps_the_form_of_version_1() {
    assert_eq!(serde_json::to_value(document()).unwrap(), sample());
}

/// Default settings are left out of the document, as older documents do.
#[test]
fn settings_are_stored_where_they_differ_from_the_default() {
    let mut document = document();
    assert!(document.attachments[0].settings.is_default());
    assert!(document.networks[0].host_settings.is_of_host());
    let vlan = |id| serde_json::from_value(json!({"mode": "access", "id": id})).unwrap();
    document.attachments[0].settings.vlan = vlan(10);
    document.networks[0].host_settings.vlan = vlan(20);
    let written = serde_json::to_value(&document).unwrap();
    let settings = &written["attachments"][0]["settings"];
    assert_eq!(settings["vlan"], json!({"mode": "access", "id": 10}));
    assert_eq!((&settings["guard"], &settings["isolation"]), (&json!("on"), &json!("none")));
    assert_eq!(serde_json::from_value::<Document>(written).unwrap(), document);
}

/// Earlier builds called the settings `policy` and `host_policy`.
#[test]
fn a_document_with_the_former_keys_still_loads() {
    let mut document = document();
    let vlan = |id| serde_json::from_value(json!({"mode": "access", "id": id})).unwrap();
    document.attachments[0].settings.vlan = vlan(10);
    document.networks[0].host_settings.vlan = vlan(20);
    let mut former = serde_json::to_value(&document).unwrap();
    for (list, key, old) in
        [("attachments", "settings", "policy"), ("networks", "host_settings", "host_policy")]
    {
        let record = former[list][0].as_object_mut().unwrap();
        let settings = record.remove(key).unwrap();
        record.insert(old.to_owned(), settings);
    }
    assert_eq!(serde_json::from_value::<Document>(former).unwrap(), document);
}

#[test]
fn gives_back_what_was_saved_last() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/state");
    let store = Store::open(&path).unwrap();
    assert_eq!(store.load().unwrap(), None);
    store.save(&document()).unwrap();
    let other = Document { attachments: Vec::new(), ..document() };
    store.save(&other).unwrap();
    assert_eq!(store.load().unwrap(), Some(other));
    let mut files: Vec<_> =
        fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["lock", "state.json"]);
}

#[test]
fn a_second_daemon_is_refused_until_the_first_has_gone() {
    let directory = tempfile::tempdir().unwrap();
    let first = Store::open(directory.path()).unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    drop(first);
    Store::open(directory.path()).unwrap();
}

#[test]
fn a_half_written_successor_does_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    store.save(&document()).unwrap();
    fs::write(directory.path().join("state.json.new"), "{\"vers").unwrap();
    assert_eq!(store.load().unwrap(), Some(document()));
    store.save(&document()).unwrap();
}

#[test]
fn what_is_damaged_is_refused_with_file_and_line() {
    let whole = serde_json::to_string_pretty(&sample()).unwrap();
    for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
        let error = parse(Path::new("/state.json"), &whole.as_bytes()[..cut]).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("/state.json") && text.contains("move it away"), "{text}");
        assert!(!text.contains('\n'));
    }
    let mut wrong = sample();
    wrong["attachments"][0]["mac"] = json!("02:00");
    let error = parse(Path::new("/s"), wrong.to_string().as_bytes()).unwrap_err();
    assert!(error.to_string().contains("02:00"), "{error}");
}

#[test]
fn another_version_is_refused_whatever_else_it_holds() {
    for version in [0, VERSION + 1] {
        let text = json!({"version": version, "new": true}).to_string();
        let error = parse(Path::new("/s"), text.as_bytes()).unwrap_err();
        assert!(matches!(error, StoreError::Version { found, .. } if found == version), "{error}");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let error = Store::open(Path::new("/proc/none/state")).unwrap_err();
    assert!(error.to_string().contains("/proc/none/state"), "{error}");
}

#[test]
fn what_is_attached_follows_its_network_to_another_name() {
    let mut document = document();
    document.rename_first_network("br7");
    assert_eq!(document.devices().collect::<Vec<_>>(), ["br7"]);
    assert!(document.attachments.iter().all(|attachment| attachment.network == "br7"));
    assert!(document.statics.iter().all(|entry| entry.network == "br7"));
}

#[test]
fn who_may_reach_a_network_follows_a_rename_and_goes_if_it_is_not_there() {
    let mut written = sample();
    let mut blue = written["networks"][0].clone();
    blue["name"] = json!("blue");
    let sources = json!(["br0", "gone"]);
    blue["options"] =
        json!({"mtu": 1500, "internal": false, "isolated_ports": false, "reachable_from": sources});
    written["networks"].as_array_mut().unwrap().push(blue);
    let mut document: Document = serde_json::from_value(written).unwrap();
    document.rename_first_network("br7");
    document.forget_unknown_sources();
    assert_eq!(document.networks[1].options.as_ref().unwrap().reachable_from, ["br7"]);
}

#[test]
fn labels_aliases_and_reserved_addresses_are_kept() {
    let mut written = sample();
    written["networks"][0]["reserved"] = json!(["10.99.0.9", "fd12:3456:789a::9"]);
    written["attachments"][0]["labels"] = json!({"app": "shop"});
    written["attachments"][0]["aliases"] = json!(["db", "DB.v1"]);
    let document: Document = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(document.networks[0].reserved.len(), 2);
    assert_eq!(serde_json::to_value(&document).unwrap(), written);
}
