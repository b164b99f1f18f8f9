use super::parse;

#[test]
fn errors_name_the_table() {
    let network = "[[network]]\nname = \"blue\"\nvni = 42\nsubnets = [\"10.50.0.0/16\"]\n";
    let node = "[[node]]\nname = \"n1\"\naddress = \"192.0.2.1\"\n";
    let endpoint = "[[endpoint]]\nnetwork = \"blue\"\naddress = \"10.50.0.70\"\nnode = \"n1\"\n\
                    mac = \"02:00:00:00:00:01\"\nname = \"web\"\n";
    let all = format!("{network}{node}{endpoint}");
    assert_eq!(parse(&all).map(|entries| entries.len()), Ok(5));
    assert_eq!(parse("").map(|entries| entries.len()), Ok(0));
    for (text, fault) in [
        (format!("{all}{node}"), "two tables mean v1/nodes/n1"),
        (format!("{all}{}", node.replace("n1", "n2")), "two tables mean v1/vteps/192.0.2.1_4789"),
        (format!("{all}{}", network.replace("blue", "red")), "two tables mean v1/vnis/42"),
        (format!("{all}{endpoint}"), "two tables mean v1/endpoints/"),
        (format!("{node}{endpoint}"), "there is no network blue"),
        (format!("{network}{endpoint}"), "there is no node n1"),
        (all.replace("02:00", "01:00"), "no MAC address"),
        (all.replace("vni = 42", "vni = 0"), "VNI 0"),
        (all.replace("vni = 42", "vxi = 42"), "unknown field `vxi`"),
        ("[[peer]]".to_owned(), "unknown field `peer`"),
    ] {
        let error = parse(&text).expect_err(fault);
        assert!(error.contains(fault), "{error}");
    }
}
