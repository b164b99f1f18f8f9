use super::{Requests, microseconds, parse};

const TEXT: &str = "Running 2s test @ http://10.99.0.3:8080/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   301.11us  142.02us   4.10ms   90.91%
    Req/Sec    53.40k     2.15k   57.20k    76.19%
  Latency Distribution
     50%  279.00us
     75%  330.00us
     90%    1.40ms
     99%  810.00us
  111543 requests in 2.10s, 72.44MB read
Requests/sec:  53116.86
Transfer/sec:     34.49MB
";

#[test]
fn rate_and_median_are_found() {
    let found = parse(TEXT).expect("parsed");
    assert_eq!(found, Requests { per_second: 53_116.86, p50_us: 279.0 });
}

#[test]
fn a_run_with_errors_is_void() {
    let text = format!("{TEXT}  Socket errors: connect 0, read 3, write 0, timeout 0\n");
    assert!(parse(&text).expect_err("void").to_string().contains("read 3"));
    let text = format!("{TEXT}  Non-2xx or 3xx responses: 12\n");
    assert!(parse(&text).expect_err("void").to_string().contains("12"));
}

#[test]
fn units_of_time() {
    assert_eq!(microseconds("12.50us").expect("us"), 12.5);
    assert_eq!(microseconds("1.25ms").expect("ms"), 1250.0);
    assert_eq!(microseconds("1.5s").expect("s"), 1.5e6);
    assert!(microseconds("17").is_err());
}
