use super::{FEW, MANY, rate, times_us};

const TEXT: &str = "DNS Performance Testing Tool
> NOERROR c2 A 0.000185
> NOERROR c3 AAAA 0.000081
Statistics:

  Queries sent:         6000
  Queries completed:    6000 (100.00%)
  Queries lost:         0 (0.00%)

  Response codes:       NOERROR 6000 (100.00%)
  Average packet size:  request 20, response 44
  Run time (s):         3.000179
  Queries per second:   1999.880674

  Average Latency (s):  0.000057 (min 0.000030, max 0.000338)
";

#[test]
fn rate_and_times_are_found() {
    assert_eq!(rate(TEXT).expect("a rate"), 1_999.880_674);
    let times: Vec<_> = times_us(TEXT).iter().map(|time| time.round()).collect();
    assert_eq!(times, [81.0, 185.0]);
}

#[test]
fn a_run_without_all_answers_is_void() {
    let lost = TEXT.replace("lost:         0 (0.00%)", "lost:         10 (0.17%)");
    assert!(rate(&lost).expect_err("void").to_string().contains("10 (0.17%)"));
    let codes = "NOERROR 5990 (99.83%), SERVFAIL 10 (0.17%)";
    let failed = TEXT.replace("NOERROR 6000 (100.00%)", codes);
    assert!(rate(&failed).expect_err("void").to_string().contains("SERVFAIL"));
    let absent = TEXT.replace("NOERROR 6000", "NXDOMAIN 6000");
    assert!(rate(&absent).is_err() && rate("").is_err());
}

#[test]
fn the_networks_have_ten_and_ten_thousand_names() {
    assert_eq!(2 * FEW, 10);
    let [ports, names] = MANY;
    assert!((10_000..10_100).contains(&(ports * names)));
}
