use super::Setting;

#[test]
fn a_setting_is_set_back() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("gc_thresh3");
    let read = || std::fs::read_to_string(&path).expect("read");
    std::fs::write(&path, "1024\n").expect("written");
    let setting = Setting::set(&path, "16384").expect("set");
    assert_eq!(read(), "16384");
    drop(setting);
    assert_eq!(read(), "1024");
    let error = Setting::set(&dir.path().join("none"), "1").expect_err("not there").to_string();
    assert!(error.contains("none"), "{error}");
}
