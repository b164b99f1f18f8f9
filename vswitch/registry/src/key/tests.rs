use super::{check_key, check_operations, check_prefix};
use crate::types::{LeaseId, Operation};

#[test]
fn keys_that_every_registry_takes() {
    for key in ["a", "v1/networks/blue", "v1/vteps/2001:db8::1_4789", "a.b/10.0.0.64-26"] {
        assert_eq!(check_key(key), Ok(()));
        assert_eq!(check_prefix(&format!("{key}/")), Ok(()));
    }
    let long = "x".repeat(513);
    for key in ["", "/a", "a/", "a//b", "a/../b", ".", "a b", "ä", "a?b", "a%2f", &long] {
        assert!(check_key(key).is_err(), "{key}");
    }
    assert_eq!(check_prefix(""), Ok(()));
    assert!(check_prefix("a").is_err());
}

#[test]
fn one_lease_a_transaction() {
    let create = |key: &str, lease: Option<&str>| Operation::Create {
        key: key.to_owned(),
        value: vec![1],
        lease: lease.map(|id| LeaseId(id.to_owned())),
    };
    let one = [create("a", Some("1")), create("b", None), create("c", Some("1"))];
    assert_eq!(check_operations(&one, 64), Ok(()));
    assert!(check_operations(&one, 2).is_err());
    assert!(check_operations(&[create("a", Some("1")), create("b", Some("2"))], 64).is_err());
    assert!(check_operations(&[create("a", None), create("a", None)], 64).is_err());
}
