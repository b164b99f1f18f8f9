use super::echo_times_us;

#[test]
fn times_of_ping() {
    let text = "64 bytes from 10.99.0.3: icmp_seq=1 ttl=64 time=0.125 ms\n\
        64 bytes from 10.99.0.3: icmp_seq=2 ttl=64 time=1.5 ms\n2 packets transmitted, time 500ms\n";
    assert_eq!(echo_times_us(text), [125.0, 1500.0]);
}
