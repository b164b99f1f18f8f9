use std::fs;
use std::os::unix::fs::symlink;

use super::*;

#[test]
fn the_text_is_replaced_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("resolv.conf");
    fs::write(&path, "a text that is longer\n").unwrap();
    Target::open(&path).unwrap().write("nameserver 10.99.0.1\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "nameserver 10.99.0.1\n");
}

#[test]
fn no_link_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (host, root) = (dir.path().join("shadow"), dir.path().join("rootfs"));
    fs::write(&host, "of the host\n").unwrap();
    fs::create_dir(&root).unwrap();
    symlink(&host, root.join("resolv.conf")).unwrap();
    symlink(dir.path(), root.join("etc")).unwrap();
    symlink(dir.path().join("new"), root.join("dangling")).unwrap();
    for name in ["resolv.conf", "etc/shadow", "etc/new", "dangling"] {
        let failure = Target::open(&root.join(name)).unwrap_err();
        assert!(failure.report().is_some_and(|report| report.contains("symbolic link")), "{name}");
    }
    assert_eq!(fs::read_to_string(&host).unwrap(), "of the host\n");
    assert!(!dir.path().join("new").exists());
}

#[test]
fn a_pipe_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert!(Target::open(&path).is_err(), "nobody reads it");
    let _reader = rustix::fs::open(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty());
    let failure = Target::open(&path).unwrap_err();
    assert!(failure.to_string().contains("no regular file"), "{failure}");
}

#[test]
fn nothing_is_left_of_a_file_that_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    fs::write(&old, "").unwrap();
    for path in [&old, &new] {
        drop(Target::open(path).unwrap());
    }
    assert!(old.exists() && !new.exists());
    Target::open(&new).unwrap().write("x").unwrap();
    assert!(new.exists());

    let mut created = Created::default();
    let folders = dir.path().join("netns/web");
    created.make_folders(&folders).unwrap();
    assert!(folders.exists());
    drop(created);
    assert!(!dir.path().join("netns").exists());
}
