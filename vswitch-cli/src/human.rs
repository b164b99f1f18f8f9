//! Numbers as people read them. Programs get exact ones from `--format json`.

/// A number of bytes: `512 B`, `1.5 KiB`, `20 MiB`.
pub(crate) fn bytes(value: u64) -> String {
    if value < 1024 {
        return format!("{value} B");
    }
    scaled(value as f64, 1024.0, &[" KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
}

/// A count: exact up to 9999, then `12.3k`, `4.5M`.
pub(crate) fn count(value: u64) -> String {
    if value < 10_000 {
        return value.to_string();
    }
    scaled(value as f64, 1000.0, &["k", "M", "G", "T", "P", "E"])
}

/// A rate in bits, as settings have it: `0 bit/s`, `9.8 Gbit/s`.
pub(crate) fn bit_rate(bits_per_s: f64) -> String {
    if bits_per_s < 1000.0 {
        return format!("{bits_per_s:.0} bit/s");
    }
    scaled(bits_per_s, 1000.0, &[" kbit/s", " Mbit/s", " Gbit/s", " Tbit/s"])
}

/// A time of the day in UTC, as the daemon's log has it: `21:04:05Z`.
pub(crate) fn time_of_day(unix_s: u64) -> String {
    let of_day = unix_s % 86_400;
    format!("{:02}:{:02}:{:02}Z", of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

/// A duration with its two largest units: `8s`, `3m 20s`, `2d 5h`.
pub(crate) fn seconds(value: u64) -> String {
    let (days, hours) = (value / 86_400, value / 3_600 % 24);
    let (minutes, seconds) = (value / 60 % 60, value % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {seconds}s"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// Three significant digits at most, with the first unit that keeps the number below `base`.
fn scaled(value: f64, base: f64, units: &[&str]) -> String {
    let mut scaled = value / base;
    let mut unit = 0;
    // 999.5 would be rounded to 1000.
    while scaled >= base - 0.5 && unit + 1 < units.len() {
        scaled /= base;
        unit += 1;
    }
    let digits = usize::from(scaled < 99.95);
    let number = format!("{scaled:.digits$}");
    format!("{}{}", number.strip_suffix(".0").unwrap_or(&number), units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_binary() {
        let shown: Vec<String> =
            [0, 1023, 1024, 1536, 1_048_575, 1 << 20, 150 << 20, 1 << 40, u64::MAX]
                .map(bytes)
                .to_vec();
        assert_eq!(
            shown,
            ["0 B", "1023 B", "1 KiB", "1.5 KiB", "1 MiB", "1 MiB", "150 MiB", "1 TiB", "16 EiB"]
        );
    }

    #[test]
    fn counts_are_exact_while_short() {
        let shown = [0, 9_999, 10_000, 12_345, 999_949, 999_999, 4_500_000].map(count).to_vec();
        assert_eq!(shown, ["0", "9999", "10k", "12.3k", "1M", "1M", "4.5M"].map(String::from));
    }

    #[test]
    fn rates_and_durations() {
        assert_eq!(bit_rate(0.0), "0 bit/s");
        assert_eq!(bit_rate(9.8e9), "9.8 Gbit/s");
        assert_eq!(time_of_day(86_400 * 20_000 + 7_384), "02:03:04Z");
        let shown = [0, 59, 60, 3_599, 3_600, 86_399, 190_000].map(seconds).to_vec();
        assert_eq!(
            shown,
            ["0s", "59s", "1m 0s", "59m 59s", "1h 0m", "23h 59m", "2d 4h"].map(String::from)
        );
    }
}
