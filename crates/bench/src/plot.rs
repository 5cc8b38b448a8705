//! The report as bars, in an SVG that needs nothing else.

use std::fmt::Write;

use crate::report::{Report, digits};

const WIDTH: usize = 860;
const LABELS: usize = 260;
const BARS: f64 = 480.0;
const BAR: usize = 14;
const COLOURS: [(&str, &str); 4] =
    [("ours", "#3ecf8e"), ("bare", "#9aa0a6"), ("TypeScript", "#3178c6"), ("googleapis", "#fbbc04")];

/// Every measure with the values of all, drawn to the largest of them.
pub(crate) fn svg(report: &Report) -> String {
    let mut body = String::new();
    let mut y = 20;
    for (index, (name, colour)) in COLOURS.iter().enumerate() {
        let x = LABELS + index * 110;
        let _ = write!(body, "<rect x='{x}' y='8' width='12' height='12' fill='{colour}'/>");
        let _ = writeln!(body, "<text x='{}' y='18'>{name}</text>", x + 18);
    }
    for measure in &report.measures {
        let medians = COLOURS.iter().filter_map(|(name, colour)| Some((measure.median(name)?, *colour)));
        let medians: Vec<(f64, &str)> = medians.collect();
        let largest = medians.iter().map(|(median, _)| *median).fold(f64::MIN_POSITIVE, f64::max);
        y += 16;
        let _ = writeln!(body, "<text x='0' y='{}'>{}</text>", y + 12, measure.label());
        let _ = writeln!(body, "<text x='0' y='{}' opacity='.6'>Deno {}</text>", y + 27, measure.deno);
        for (median, colour) in medians {
            let length = (median / largest * BARS).max(1.0);
            let _ = write!(
                body,
                "<rect x='{LABELS}' y='{y}' width='{length:.0}' height='{}' fill='{colour}'/>",
                BAR - 2
            );
            let _ = writeln!(
                body,
                "<text x='{:.0}' y='{}'>{}</text>",
                LABELS as f64 + length + 6.0,
                y + 11,
                digits(median)
            );
            y += BAR;
        }
    }
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {}' font-family='sans-serif' font-size='12' \
         fill='#808890'>\n{body}</svg>\n",
        y + 20
    )
}
