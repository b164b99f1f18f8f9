use super::*;

fn table(errno: Errno) -> WatchError {
    let (table, source) = ("t".to_owned(), errno.into());
    WatchError::Table(NftError::Refused { table, message: 1, source, hint: "" })
}

#[test]
fn only_a_lack_of_parts_or_privileges_is_final() {
    for errno in [Errno::OPNOTSUPP, Errno::NOENT, Errno::INVAL] {
        assert!(table(errno).is_final(), "{errno}");
        assert!(WatchError::Group(errno.into()).is_final(), "{errno}");
    }
    assert!(WatchError::Raw(Errno::PERM.into()).is_final());
    // The table or the group of a daemon that was just killed.
    assert!(!table(Errno::PERM).is_final());
    assert!(!WatchError::Group(Errno::PERM.into()).is_final());
    for errno in [Errno::MFILE, Errno::NOBUFS, Errno::NOMEM, Errno::BUSY] {
        assert!(!table(errno).is_final(), "{errno}");
        assert!(!WatchError::Group(errno.into()).is_final(), "{errno}");
        assert!(!WatchError::Raw(errno.into()).is_final(), "{errno}");
    }
}

#[test]
fn a_refusal_for_the_moment_is_not_the_last_word() {
    let mut watch = SynWatch::new("br0");
    watch.adopt(Err(WatchError::Raw(Errno::MFILE.into())), false);
    assert!(matches!(watch.state, State::Refused));
    watch.adopt(Err(WatchError::Raw(Errno::PERM.into())), true);
    assert!(matches!(watch.state, State::Unavailable));
}
