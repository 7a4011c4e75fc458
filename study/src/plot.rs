//! Two plots as SVG, readable on light and dark pages.

use std::fmt::Write;

use crate::lds::Estimate;

const STYLE: &str = "<style>text{font:12px sans-serif;fill:#555}.t{font-size:14px}.a{fill:#4477aa}.b{fill:#ee8866}\
    line{stroke:#888;stroke-width:1}</style>";

fn open(width: u32, height: u32, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{title}</title>\n\
         {STYLE}\n<text class=\"t\" x=\"10\" y=\"20\">{title}</text>\n"
    )
}

/// Bars with their intervals: each score at record and at contributor level.
pub fn bars(title: &str, rows: &[(&str, Estimate, Estimate)]) -> String {
    const LEFT: f64 = 260.0;
    const WIDTH: f64 = 420.0;
    let height = 70 + 44 * u32::try_from(rows.len()).unwrap_or(0);
    let mut svg = open(720, height, title);
    let bottom = f64::from(height) - 24.0;
    let x = |value: f64| LEFT + WIDTH * value.clamp(0.0, 0.8) / 0.8;
    for tenth in 0..=4 {
        let value = f64::from(tenth) / 5.0;
        let at = x(value);
        let _ = writeln!(svg, "<line x1=\"{at:.1}\" y1=\"32\" x2=\"{at:.1}\" y2=\"{bottom:.1}\" opacity=\".3\"/>");
        let _ =
            writeln!(svg, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value:.1}</text>", bottom + 15.0);
    }
    for (k, (name, records, contributors)) in rows.iter().enumerate() {
        let top = 38.0 + 44.0 * k as f64;
        let _ =
            writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>", LEFT - 8.0, top + 20.0);
        for (offset, class, estimate) in [(0.0, "a", records), (17.0, "b", contributors)] {
            let (y, end) = (top + offset, x(estimate.value));
            let _ = writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"14\"/>",
                end - LEFT
            );
            let (low, high, middle) = (x(estimate.low), x(estimate.high), y + 7.0);
            let _ = writeln!(svg, "<line x1=\"{low:.1}\" y1=\"{middle:.1}\" x2=\"{high:.1}\" y2=\"{middle:.1}\"/>");
        }
    }
    let _ = writeln!(
        svg,
        "<rect class=\"a\" x=\"500\" y=\"10\" width=\"10\" height=\"10\"/><text x=\"514\" y=\"19\">records</text>"
    );
    let _ = writeln!(
        svg,
        "<rect class=\"b\" x=\"580\" y=\"10\" width=\"10\" height=\"10\"/><text x=\"594\" y=\"19\">contributors</text>"
    );
    svg + "</svg>\n"
}

/// Mean pay against mean true share, one dot per contributor, both axes logarithmic from 10^-5 to 1.
pub fn dots(title: &str, horizontal: &str, vertical: &str, points: &[(f64, f64)]) -> String {
    const LEFT: f64 = 70.0;
    const TOP: f64 = 36.0;
    const SIDE: f64 = 380.0;
    let mut svg = open(480, 470, title);
    let part = |value: f64| (value.max(1e-5).log10() + 5.0).clamp(0.0, 5.0) / 5.0;
    let at = |(a, b): (f64, f64)| (LEFT + SIDE * part(a), TOP + SIDE * (1.0 - part(b)));
    for exponent in -5..=0 {
        let value = 10f64.powi(exponent);
        let (x, y) = at((value, value));
        let bottom = TOP + SIDE;
        let _ = writeln!(svg, "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" opacity=\".3\"/>");
        let _ =
            writeln!(svg, "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" opacity=\".3\"/>", LEFT + SIDE);
        let _ =
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">1e{exponent}</text>", bottom + 16.0);
        let _ =
            writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">1e{exponent}</text>", LEFT - 6.0, y + 4.0);
    }
    let ((x1, y1), (x2, y2)) = (at((1e-5, 1e-5)), at((1.0, 1.0)));
    let _ = writeln!(svg, "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>");
    for &point in points {
        let (x, y) = at(point);
        let _ = writeln!(svg, "<circle class=\"a\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" opacity=\".7\"/>");
    }
    let _ = writeln!(svg, "<text x=\"{}\" y=\"455\" text-anchor=\"middle\">{horizontal}</text>", LEFT + SIDE / 2.0);
    let (x, y) = (16.0, TOP + SIDE / 2.0);
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" transform=\"rotate(-90 {x} {y})\">{vertical}</text>"
    );
    svg + "</svg>\n"
}
