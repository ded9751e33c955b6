//! Figures as a page of Markdown, for `docs/benchmarks.md` and for the terminal.
//!
//! The text around the numbers is fixed; every number is one of this run. Deliberately absent:
//! judgement beyond "holds" and "does not hold".

use crate::figures::{Bound, Figure, Promise, Section};
use crate::machine;
use std::fmt::Write;

/// The folder of graphs, beside the page.
pub(crate) const PLOTS: &str = "plots";

/// What opens the page of `./check bench`.
pub(crate) const HEAD: &str = "\
# Benchmarks

Written by `./check bench`, which builds the release binaries, runs the whole table and writes this
page; do not edit it by hand. One scenario alone, at any size: `target/release/statestore-bench
help`.

The figures come from the shipped binary `statestored` as a process of its own; its CPU (user and
system time), memory and files are what `/proc` says. One other process simulates all subscribers:
each has an address of its own on the loopback device, reads what it is sent and answers at once.
Both share this machine's cores, so the simulated subscribers' work is part of every time, for the
server and for its limit alike. Work that the kernel's network threads do is in nobody's CPU. What
stands beside a statestored runs as it does, in a session of its own: the plainest sender of a large
topic, and each peer. Where the cost of the subscriber library is measured, it has a process too.

**Limit** is measured in the same run on the same machine: what the plainest means reach, or the
same figure without the disturbance; each section says which. **Ratio** is measured by limit. A
promise that does not hold says so, and also where the limit itself does not keep it. Failovers of a
pair have a page of their own: [failover.md](failover.md).
";

/// What opens the page of `./check failover`.
pub(crate) const PAIR_HEAD: &str = "\
# Failover in figures

Written by `./check failover`, which builds the release binaries, runs the whole table and writes
this page; do not edit it by hand. One scenario alone, at any size: `target/release/statestore-bench
help`.

Both statestoreds are the shipped binary, as processes of their own; all subscribers are the shipped
library in one other process, on the same machine. How the times of a takeover come about:
[protocol.md](protocol.md). All other figures: [benchmarks.md](benchmarks.md).
";

/// What a run was like.
pub(crate) struct Circumstances {
    pub(crate) seconds: f64,
    pub(crate) tiny: bool,
}

/// The whole page.
pub(crate) fn page(head: &str, circumstances: &Circumstances, sections: &[Section]) -> String {
    let mut page = format!("{head}\n| This run | |\n|---|---|\n");
    let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC");
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(page, "| {name} | {value} |");
    };
    row("Date", &now.to_string());
    for (name, value) in machine::description() {
        row(name, &value);
    }
    row("Duration", &duration(circumstances.seconds));
    let busy = sections.iter().map(|section| section.others);
    row("Others", &others(busy.fold(0.0, f64::max)));
    if circumstances.tiny {
        row(
            "Size",
            "**tiny**: shows that the tool works, and nothing else",
        );
    }
    page.push_str("\n## Promises\n\n");
    promises(&mut page, sections);
    for section in sections {
        page.push('\n');
        page.push_str(&text(section));
        for plot in &section.plots {
            let _ = write!(page, "\n![{}]({PLOTS}/{}.svg)\n", plot.title, plot.name);
        }
    }
    page
}

fn duration(seconds: f64) -> String {
    const MOST: f64 = 1_800.0;
    let verdict = if seconds > MOST { ": **too long**" } else { "" };
    format!("{seconds:.0} s of {MOST} at most{verdict}")
}

/// One section.
pub(crate) fn text(section: &Section) -> String {
    let mut text = format!("## {}\n", section.title);
    if !section.command.is_empty() {
        let _ = write!(text, "\n`{}`\n", section.command);
    }
    let _ = write!(text, "\n{}\n\n", wrapped(&section.how));
    text.push_str("| Figure | Measured | Limit | Ratio | Promised | Holds |\n");
    text.push_str("|---|---|---|---|---|---|\n");
    for figure in &section.figures {
        let limit = figure.limit.map(|limit| with_unit(limit, figure.unit));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            figure.what,
            with_unit(figure.measured, figure.unit),
            limit.unwrap_or_default(),
            figure
                .ratio()
                .map(|ratio| format!("{ratio:.2}"))
                .unwrap_or_default(),
            figure
                .promise
                .as_ref()
                .map(|promise| said(promise, figure.unit))
                .unwrap_or_default(),
            holds(figure),
        );
    }
    if !section.figures.is_empty() {
        let _ = writeln!(text, "\nBusy meanwhile: {}.", others(section.others));
        if section.seconds > 0.0 {
            let _ = writeln!(text, "Took {:.0} s.", section.seconds);
        }
    }
    if !section.table.is_empty() {
        let _ = write!(text, "\n{}", section.table);
    }
    for note in &section.notes {
        let _ = write!(text, "\n{}\n", wrapped(note));
    }
    text
}

/// How busy the rest of the machine was, and what that means.
fn others(share: f64) -> String {
    const DISTURBED: f64 = 0.25;
    let percent = share * 100.0;
    let advice = if share > DISTURBED {
        ": **others worked here too**, expect better figures on a quiet machine"
    } else {
        ""
    };
    format!("at most {percent:.0} % of the machine beside server and load generator{advice}")
}

/// All promises at a glance.
fn promises(page: &mut String, sections: &[Section]) {
    page.push_str("| Promise | Of | Figure | Measured | Promised | Holds |\n");
    page.push_str("|---|---|---|---|---|---|\n");
    for (section, figure, promise) in sections.iter().flat_map(promised) {
        // "P1: a topic ..." without the number, which has a column of its own.
        let title = section.title.split_once(": ");
        let of = title.map_or(section.title.as_str(), |(_, rest)| rest);
        let measured = match (promise.bound, figure.ratio()) {
            (Bound::Most(_) | Bound::Least(_), _) | (_, None) => {
                with_unit(figure.measured, figure.unit)
            }
            (_, Some(ratio)) => format!("{:.1} % of the limit", ratio * 100.0),
        };
        let promised = said(promise, figure.unit);
        let _ = writeln!(
            page,
            "| {} | {of} | {} | {measured} | {promised} | {} |",
            promise.number,
            figure.what,
            holds(figure)
        );
    }
}

fn promised(section: &Section) -> impl Iterator<Item = (&Section, &Figure, &Promise)> {
    let figures = section.figures.iter();
    figures.filter_map(move |figure| Some((section, figure, figure.promise.as_ref()?)))
}

fn said(promise: &Promise, unit: &str) -> String {
    match promise.bound {
        Bound::Most(most) => format!("at most {}", with_unit(most, unit)),
        Bound::Least(least) => format!("at least {}", with_unit(least, unit)),
        Bound::MostOfLimit(share) => format!("at most {:.0} % of the limit", share * 100.0),
        Bound::LeastOfLimit(share) => format!("at least {:.0} % of the limit", share * 100.0),
    }
}

fn holds(figure: &Figure) -> &'static str {
    match figure.holds() {
        Some(true) => "yes",
        Some(false) if figure.limit_holds() == Some(false) => "**no**, nor for the limit",
        Some(false) => "**no**",
        None => "",
    }
}

fn with_unit(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ if value.fract() == 0.0 => 0,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$} {unit}");
    text.trim_end().to_owned()
}

/// Prose in lines of a hundred columns.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_ascii_whitespace() {
        let line = lines.len() - 1;
        let width = lines[line].chars().count();
        if width > 0 && width + 1 + word.chars().count() > 100 {
            lines.push(word.to_owned());
        } else {
            if width > 0 {
                lines[line].push(' ');
            }
            lines[line].push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits_or_so() {
        let shown = |value| with_unit(value, "ms");
        assert_eq!(shown(1234.56), "1235 ms");
        assert_eq!(shown(12.345), "12.3 ms");
        assert_eq!(shown(1.234), "1.23 ms");
        assert_eq!(shown(0.1234), "0.123 ms");
        assert_eq!(shown(50.0), "50.0 ms");
        assert_eq!(with_unit(0.0, ""), "0");
    }

    #[test]
    fn promises_at_a_glance_say_what_they_are_of() {
        let figure = Figure::new("k", "rate", 4.0, "GB/s").promised("P1", Bound::Least(5.0));
        let section = Section {
            title: "P1: a topic of 1 GB".to_owned(),
            figures: vec![Figure::new("n", "no promise", 1.0, "s"), figure],
            ..Section::default()
        };
        let mut shown = String::new();
        promises(&mut shown, &[section]);
        let row = "| P1 | a topic of 1 GB | rate | 4 GB/s | at least 5 GB/s | **no** |\n";
        assert!(shown.ends_with(row), "{shown}");
        assert_eq!(shown.lines().count(), 3);
    }

    #[test]
    fn graphs_are_in_the_page_beside_their_section() {
        let plot = crate::plot::Plot {
            name: "p10-it".to_owned(),
            title: "P10: it".to_owned(),
            across: crate::plot::Scale {
                label: "",
                unit: "",
            },
            up: crate::plot::Scale {
                label: "",
                unit: "",
            },
            lines: Vec::new(),
        };
        let section = Section {
            title: "P10: growth".to_owned(),
            plots: vec![plot],
            ..Section::default()
        };
        let circumstances = Circumstances {
            seconds: 1.0,
            tiny: true,
        };
        let shown = page(HEAD, &circumstances, &[section]);
        assert!(
            shown.ends_with("\n![P10: it](plots/p10-it.svg)\n"),
            "{shown}"
        );
    }

    #[test]
    fn a_broken_promise_is_in_bold() {
        let figure = Figure::new("k", "rate", 4.0, "GB/s")
            .beside(5.0)
            .promised("P1", Bound::LeastOfLimit(0.9));
        let section = Section {
            figures: vec![figure],
            ..Section::default()
        };
        let shown = text(&section);
        let row = "| rate | 4 GB/s | 5 GB/s | 0.80 | at least 90 % of the limit | **no** |";
        assert!(shown.contains(row), "{shown}");
    }
}
