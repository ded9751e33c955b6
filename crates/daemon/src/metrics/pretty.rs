//! Numbers for people (observability.md section 5).
//! Rounding follows the reference, so that texts compare; machines read the plain value instead.

use super::Units;

const SECOND_MS: f64 = 1000.0;
const MINUTE_MS: f64 = 60.0 * SECOND_MS;
const HOUR_MS: f64 = 60.0 * MINUTE_MS;

/// `value` in `units`, e.g. `1.50 KB`, `1.23K`, `2m5s`.
pub fn number(value: f64, units: Units) -> String {
    match units {
        Units::None => plain(value),
        Units::Unit => scaled(value, 1000.0, ["", "K", "M", "B"]),
        Units::Bytes if value == 0.0 => "0".to_owned(),
        Units::Bytes => bytes(value),
        Units::TimeS => milliseconds(cut_noise(value * 1000.0)),
        Units::TimeMs => milliseconds(value),
        Units::TimeUs => nanoseconds(value * 1000.0),
        Units::TimeNs => nanoseconds(value),
    }
}

/// A number of bytes.
pub fn bytes_u64(value: u64) -> String {
    number(value as f64, Units::Bytes)
}

/// A number as Rust and JSON write it: whole ones without a fraction.
pub(super) fn plain(value: f64) -> String {
    value.to_string()
}

fn bytes(value: f64) -> String {
    let (scaled, unit) = scale(value, 1024.0, [" B", " KB", " MB", " GB"]);
    format!("{scaled:.2}{unit}")
}

fn scaled(value: f64, base: f64, units: [&'static str; 4]) -> String {
    if value.abs() < base {
        return plain(value);
    }
    let (scaled, unit) = scale(value, base, units);
    format!("{scaled:.2}{unit}")
}

fn scale(value: f64, base: f64, units: [&'static str; 4]) -> (f64, &'static str) {
    let mut scaled = value;
    let mut unit = 0;
    while scaled.abs() >= base && unit < units.len() - 1 {
        scaled /= base;
        unit += 1;
    }
    (scaled, units[unit])
}

/// 1.005 s must not read `1s004ms` because doubles have no 1.005: whole nanoseconds.
fn cut_noise(milliseconds: f64) -> f64 {
    (milliseconds * 1e6).round() / 1e6
}

fn milliseconds(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value < 0.0 {
        return format!("-{}", milliseconds(-value));
    }
    if value >= HOUR_MS {
        let minutes = (value % HOUR_MS / MINUTE_MS).floor();
        return format!("{}h{minutes}m", (value / HOUR_MS).floor());
    }
    if value >= MINUTE_MS {
        let seconds = (value % MINUTE_MS / SECOND_MS).floor();
        return format!("{}m{seconds}s", (value / MINUTE_MS).floor());
    }
    if value >= SECOND_MS {
        return format!(
            "{}s{:03}ms",
            (value / SECOND_MS).floor(),
            (value % SECOND_MS).floor()
        );
    }
    format!("{}ms", value.floor())
}

fn nanoseconds(value: f64) -> String {
    if value < 0.0 {
        return format!("-{}", nanoseconds(-value));
    }
    // Cut, not rounded: 999.9996us must not read 1000.000us.
    let cut = |value: f64| (value * 1000.0).floor() / 1000.0;
    match value {
        ns if ns < 1e3 => format!("{:.3}ns", cut(ns)),
        ns if ns < 1e6 => format!("{:.3}us", cut(ns / 1e3)),
        ns if ns < 1e9 => format!("{:.3}ms", cut(ns / 1e6)),
        ns => milliseconds(ns / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_two_decimals_and_a_unit_up_to_gb() {
        let cases = [
            (0.0, "0"),
            (512.0, "512.00 B"),
            (1536.0, "1.50 KB"),
            (10_003_415.0, "9.54 MB"),
            (2147483648.0, "2.00 GB"),
            (5e12, "4656.61 GB"),
        ];
        cases
            .iter()
            .for_each(|&(value, text)| assert_eq!(number(value, Units::Bytes), text));
    }

    #[test]
    fn counts_are_scaled_by_thousands() {
        let cases = [
            (999.0, "999"),
            (1234.0, "1.23K"),
            (5e6, "5.00M"),
            (7.5e9, "7.50B"),
        ];
        cases
            .iter()
            .for_each(|&(value, text)| assert_eq!(number(value, Units::Unit), text));
    }

    #[test]
    fn long_times_lose_their_small_parts() {
        let cases = [
            (0.0, "0"),
            (17.9, "17ms"),
            (1005.0, "1s005ms"),
            (125_999.0, "2m5s"),
            (3_720_000.0, "1h2m"),
            (0.4, "0ms"),
        ];
        cases
            .iter()
            .for_each(|&(value, text)| assert_eq!(number(value, Units::TimeMs), text));
        assert_eq!(number(1.005, Units::TimeS), "1s005ms");
    }

    #[test]
    fn short_times_have_three_decimals_cut() {
        let cases = [
            (12.0, "12.000ns"),
            (1234.0, "1.234us"),
            (1_234_999.0, "1.234ms"),
            (1.5e9, "1s500ms"),
            (999_999.9, "999.999us"),
        ];
        cases
            .iter()
            .for_each(|&(value, text)| assert_eq!(number(value, Units::TimeNs), text));
        assert_eq!(number(1234.0, Units::TimeUs), "1.234ms");
    }

    #[test]
    fn numbers_without_unit_are_as_they_are() {
        assert_eq!(number(24000.0, Units::None), "24000");
        assert_eq!(number(0.5, Units::None), "0.5");
    }
}
