//! Graphs on two logarithmic scales, as SVG: what grows with the work is a level line in them.
//!
//! ```text
//!   1 |  o---o---o---o    measured, solid
//!     |  x- -x- -x- -x    its limit, dashed
//! 0.1 +----------------
//!       10 100 1k  10k
//! ```
//!
//! Drawn by hand: four graphs of two lines each need a dozen shapes, and the same numbers give the
//! same bytes. Deliberately absent: linear scales, lines within a decade. Invariant: each
//! scale holds whole decades, at least two, and every point that has a place on it.

use std::fmt::Write;

/// A graph.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    /// Its file, without the ending.
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) across: Scale,
    pub(crate) up: Scale,
    pub(crate) lines: Vec<Line>,
}

/// What a direction shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) label: &'static str,
    /// Begins with `k` or `M` where that is shorter; empty for bare numbers.
    pub(crate) unit: &'static str,
}

/// Points that belong together.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    /// It stands beside what was measured.
    pub(crate) limit: bool,
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 60.0;
const STYLE: &str = "\
text { font: 13px sans-serif; fill: #222 }
.title { font-size: 15px; font-weight: bold }
.grid { stroke: #ddd }
.line { fill: none; stroke-width: 2 }
";
const MEASURED: &str = "#1f5fa8";
const LIMIT: &str = "#b8560f";

/// Whole decades, as powers of ten.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Decades {
    first: i32,
    last: i32,
}

impl Decades {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let logs: Vec<f64> = values.filter(|v| *v > 0.0).map(f64::log10).collect();
        let least = logs.iter().copied().reduce(f64::min).unwrap_or(0.0);
        let most = logs.iter().copied().reduce(f64::max).unwrap_or(0.0);
        let (mut first, last) = (least.floor() as i32, most.ceil() as i32);
        let last = last.max(first + 1);
        if last - first < 2 {
            first -= 1;
        }
        Self { first, last }
    }

    /// 0 at the first, 1 at the last.
    fn place(self, value: f64) -> f64 {
        (value.log10() - f64::from(self.first)) / f64::from(self.last - self.first)
    }

    fn marks(self) -> impl Iterator<Item = f64> {
        (self.first..=self.last).map(|power| 10_f64.powi(power))
    }
}

/// Both directions.
struct Field {
    across: Decades,
    up: Decades,
}

impl Field {
    fn x(&self, value: f64) -> f64 {
        LEFT + self.across.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.up.place(value) * (HEIGHT - TOP - BOTTOM)
    }
}

impl Plot {
    /// The whole file.
    pub(crate) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let field = Field {
            across: Decades::of(points().map(|(x, _)| *x)),
            up: Decades::of(points().map(|(_, y)| *y)),
        };
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             role=\"img\">\n<style>\n{STYLE}</style>\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
        );
        text(&mut svg, (LEFT, 24.0), "class=\"title\"", &self.title);
        self.grid(&mut svg, &field);
        for (nth, line) in self.lines.iter().enumerate() {
            line.draw(&mut svg, &field, nth);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn grid(&self, svg: &mut String, field: &Field) {
        let (floor, ceiling) = (HEIGHT - BOTTOM, TOP);
        for mark in field.across.marks() {
            let x = field.x(mark);
            grid_line(svg, (x, floor), (x, ceiling));
            let label = shown(mark, self.across.unit);
            text(svg, (x, floor + 18.0), "text-anchor=\"middle\"", &label);
        }
        for mark in field.up.marks() {
            let y = field.y(mark);
            grid_line(svg, (LEFT, y), (WIDTH - RIGHT, y));
            let label = shown(mark, self.up.unit);
            text(svg, (LEFT - 6.0, y + 4.0), "text-anchor=\"end\"", &label);
        }
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        let below = (middle, HEIGHT - 14.0);
        text(svg, below, "text-anchor=\"middle\"", self.across.label);
        let (x, y) = (18.0, f64::midpoint(floor, ceiling));
        let turned = format!("text-anchor=\"middle\" transform=\"rotate(-90 {x} {y})\"");
        text(svg, (x, y), &turned, self.up.label);
    }
}

impl Line {
    fn draw(&self, svg: &mut String, field: &Field, nth: usize) {
        let color = if self.limit { LIMIT } else { MEASURED };
        let dashes = match self.limit {
            true => " stroke-dasharray=\"6 4\"",
            false => "",
        };
        // What is not above zero has no place on such a scale.
        let points = self.points.iter().filter(|(x, y)| *x > 0.0 && *y > 0.0);
        let places: Vec<_> = points.map(|(x, y)| (field.x(*x), field.y(*y))).collect();
        let path: Vec<_> = places
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let path = path.join(" ");
        let _ = writeln!(
            svg,
            "<polyline class=\"line\" stroke=\"{color}\"{dashes} points=\"{path}\"/>"
        );
        for (x, y) in places {
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{color}\"/>"
            );
        }
        let x = LEFT + 150.0 * nth as f64;
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" y1=\"44\" x2=\"{}\" y2=\"44\" stroke=\"{color}\" \
             stroke-width=\"2\"{dashes}/>",
            x + 28.0
        );
        text(svg, (x + 34.0, 48.0), "", self.name);
    }
}

fn grid_line(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line class=\"grid\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn text(svg: &mut String, (x, y): (f64, f64), attributes: &str, words: &str) {
    let words = words
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{words}</text>"
    );
}

/// A mark of a scale: 0.1 s, 10 kB, 1 GB, 10k.
fn shown(value: f64, unit: &str) -> String {
    let (value, prefix) = match value {
        1e9.. => (value / 1e9, "G"),
        1e6.. => (value / 1e6, "M"),
        1e3.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    // Powers of ten below one are not exact.
    let digits = if value < 1.0 {
        -value.log10().floor()
    } else {
        0.0
    };
    let number = format!("{value:.0$}", digits as usize);
    match (unit, prefix) {
        ("", prefix) => format!("{number}{prefix}"),
        (unit, prefix) => format!("{number} {prefix}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, f64)>) -> Plot {
        Plot {
            name: "name".to_owned(),
            title: "Bytes & <time>".to_owned(),
            across: Scale {
                label: "bytes",
                unit: "B",
            },
            up: Scale {
                label: "CPU",
                unit: "",
            },
            lines: vec![
                Line {
                    name: "measured",
                    limit: false,
                    points,
                },
                Line {
                    name: "limit",
                    limit: true,
                    points: vec![(1e6, 1.0)],
                },
            ],
        }
    }

    #[test]
    fn scales_hold_whole_decades_and_at_least_two() {
        let of = |values: &[f64]| {
            let decades = Decades::of(values.iter().copied());
            (decades.first, decades.last)
        };
        assert_eq!(of(&[10.0, 10_000.0]), (1, 4));
        assert_eq!(of(&[0.13, 0.14]), (-2, 0));
        assert_eq!(of(&[1.0]), (-1, 1));
        assert_eq!(of(&[0.0, f64::NAN]), (-1, 1));
        assert_eq!(of(&[3.0, 400.0]), (0, 3));
    }

    #[test]
    fn equal_factors_are_equal_distances() {
        let field = Field {
            across: Decades { first: 5, last: 9 },
            up: Decades { first: -1, last: 1 },
        };
        assert_eq!((field.x(1e5), field.x(1e9)), (LEFT, WIDTH - RIGHT));
        assert_eq!((field.y(0.1), field.y(10.0)), (HEIGHT - BOTTOM, TOP));
        let (a, b, c) = (field.x(1e6), field.x(1e7), field.x(1e8));
        assert!((b - a - (c - b)).abs() < 1e-9);
    }

    #[test]
    fn marks_are_short() {
        let all = [1e-3, 0.1, 1.0, 10.0, 1e3, 1e5, 1e9].map(|value| shown(value, "B"));
        let expected = ["0.001 B", "0.1 B", "1 B", "10 B", "1 kB", "100 kB", "1 GB"];
        assert_eq!(all, expected);
        assert_eq!(shown(1e4, ""), "10k");
    }

    #[test]
    fn every_point_is_drawn_and_none_that_has_no_place() {
        let svg = plot(vec![(1e5, 2.0), (1e6, 3.0), (1e7, 0.0)]).svg();
        assert_eq!(svg.matches("<circle").count(), 3, "{svg}");
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(
            svg.matches("stroke-dasharray").count(),
            2,
            "its line and its legend"
        );
        assert!(svg.contains("Bytes &amp; &lt;time&gt;"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }
}
