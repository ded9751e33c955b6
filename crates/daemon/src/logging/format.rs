//! One event as one line of text.
//!
//! `I20260131 23:59:59.123456  4711 owner.rs:42] text`

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Longer lines are cut, as in glog; what strangers send cannot fill the disk with one event.
pub const MAX_LINE: usize = 30_000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// I
    Info,
    /// W
    Warning,
    /// E
    Error,
    /// F
    Fatal,
}

impl Severity {
    /// From least to most severe.
    pub const ALL: [Severity; 4] = [Self::Info, Self::Warning, Self::Error, Self::Fatal];

    /// As in file names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }

    fn letter(self) -> char {
        match self {
            Self::Info => 'I',
            Self::Warning => 'W',
            Self::Error => 'E',
            Self::Fatal => 'F',
        }
    }
}

/// Wall-clock time in the zone that the flags ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) utc: bool,
}

impl Clock {
    pub(super) fn now(self) -> jiff::Zoned {
        let zone = if self.utc {
            TimeZone::UTC
        } else {
            TimeZone::system()
        };
        Timestamp::now().to_zoned(zone)
    }
}

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) prefix: bool,
    pub(super) year: bool,
    pub(super) clock: Clock,
}

impl Style {
    /// The line with its newline.
    pub(super) fn line(self, severity: Severity, file: &str, line: u32, message: &str) -> String {
        let mut out = String::with_capacity(80 + message.len().min(MAX_LINE));
        if self.prefix {
            let now = self.clock.now();
            let year = if self.year {
                format!("{:04}", now.year())
            } else {
                String::new()
            };
            let file = file.rsplit('/').next().unwrap_or(file);
            let _ = write!(
                out,
                "{}{year}{:02}{:02} {:02}:{:02}:{:02}.{:06} {:>5} {file}:{line}] ",
                severity.letter(),
                now.month(),
                now.day(),
                now.hour(),
                now.minute(),
                now.second(),
                now.subsec_nanosecond() / 1000,
                rustix::thread::gettid().as_raw_nonzero(),
            );
        }
        push_escaped(&mut out, message);
        out.push('\n');
        out
    }
}

/// Appends `text` with control characters shown as escapes, and cut at [`MAX_LINE`].
fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        if out.len() > MAX_LINE {
            out.push_str("...");
            return;
        }
        // Tabs do no harm; U+2028 and U+2029 count as line ends to some readers.
        if (c.is_control() && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style {
        prefix: true,
        year: true,
        clock: Clock { utc: true },
    };

    #[test]
    fn a_line_has_the_prefix_of_glog() {
        let line = STYLE.line(Severity::Warning, "crates/daemon/src/web.rs", 42, "hello");
        let (prefix, text) = line.split_once("] ").unwrap_or_default();
        assert_eq!(text, "hello\n");
        let shape: String = prefix
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        let words: Vec<_> = shape.split_ascii_whitespace().collect();
        assert_eq!(words[..2], ["W00000000", "00:00:00.000000"]);
        assert!(words[2].chars().all(|c| c == '0'));
        assert_eq!(words[3], "web.rs:00");
    }

    #[test]
    fn nothing_in_a_message_starts_a_new_line_or_reaches_the_terminal() {
        let forged = "a\nE20260101 00:00:00.000000 1 x.rs:1] forged\r\x1b[31m\u{2028}\0";
        let line = STYLE.line(Severity::Info, "x.rs", 1, forged);
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.trim_end_matches('\n').chars().all(|c| !c.is_control()));
        assert!(line.contains("a\\nE2026"));
    }

    #[test]
    fn a_message_without_end_is_cut() {
        let line = STYLE.line(Severity::Info, "x.rs", 1, &"é".repeat(MAX_LINE));
        assert!(line.len() < MAX_LINE + 100);
        assert!(line.ends_with("...\n"));
    }

    #[test]
    fn prefix_and_year_can_be_left_out() {
        let bare = Style {
            prefix: false,
            ..STYLE
        };
        assert_eq!(bare.line(Severity::Info, "x.rs", 1, "text"), "text\n");
        let short = Style {
            year: false,
            ..STYLE
        }
        .line(Severity::Info, "x.rs", 1, "text");
        assert_eq!(short.find(' '), Some(5));
    }
}
