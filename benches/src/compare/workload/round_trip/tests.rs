use super::{Percentiles, parse_sockperf};

const TEXT: &str = "sockperf: == version #3.7-no.git ==
sockperf: [Total Run] RunTime=2.000 sec; Warm up time=400 msec; SentMessages=50000; ReceivedMessages=49999
sockperf: ========= Printing statistics for Server No: 0
sockperf: [Valid Duration] RunTime=1.500 sec; SentMessages=37500; ReceivedMessages=37500
sockperf: ====> avg-rtt=40.010 (std-dev=12.345)
sockperf: # dropped messages = 0; # duplicated messages = 0; # out-of-order messages = 0
sockperf: Summary: Round trip is 40.010 usec
sockperf: Total 37500 observations; each percentile contains 375.00 observations
sockperf: ---> <MAX> observation = 1234.500
sockperf: ---> percentile 99.999 =  901.000
sockperf: ---> percentile 99.990 =  700.000
sockperf: ---> percentile 99.900 =  300.250
sockperf: ---> percentile 99.000 =  120.500
sockperf: ---> percentile 50.000 =   38.125
";

#[test]
fn percentiles_and_rate_of_the_valid_part() {
    let times = parse_sockperf(TEXT).expect("parsed");
    let expected =
        Percentiles { p50_us: 38.125, p99_us: 120.5, p999_us: 300.25, per_second: 25_000.0 };
    assert_eq!(times, expected);
}

#[test]
fn what_is_missing_is_named() {
    let text = TEXT.replace("99.000", "98.000");
    let error = parse_sockperf(&text).expect_err("no p99").to_string();
    assert!(error.contains("99.000"), "{error}");
}
