//! What all figures share: font, colours, panels, legends.

use super::axis::Axis;
use crate::error::ReportError;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, TextStyle, register_font};
use std::error::Error;
use std::sync::OnceLock;

pub(super) type Drawn<T> = Result<T, Box<dyn Error>>;
pub(super) type Area<'b> = DrawingArea<SVGBackend<'b>, Shift>;
pub(super) type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Ticked, Ticked>>;

/// A linear coordinate with given ticks.
pub(super) struct Ticked {
    range: std::ops::Range<f64>,
    ticks: Vec<f64>,
}

impl Ranged for Ticked {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.range.clone()
    }
}

const FAMILY: &str = "sans-serif";
const TEXT_SIZE: f64 = 16.0;
const TEXT: RGBColor = RGBColor(40, 40, 40);
pub(super) const GRID: RGBColor = RGBColor(225, 225, 225);
pub(super) const GREY: RGBColor = RGBColor(110, 110, 110);
const LEGEND_ROW: i32 = 24;
const SWATCH: i32 = 26;

/// Colours that people with any kind of colour vision can tell apart, dark enough on white (Okabe and Ito, "Color Universal
/// Design", 2008; its yellow is left out).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// How one run is drawn, the same in every figure.
#[derive(Clone, Copy)]
pub(super) struct Ink {
    pub colour: RGBColor,
    /// When colours begin again.
    pub dashed: bool,
}

pub(super) fn ink(run: usize) -> Ink {
    Ink { colour: COLOURS[run % COLOURS.len()], dashed: run / COLOURS.len() % 2 == 1 }
}

/// The bundled font measures text while a figure is laid out, so no font of the system is needed; the browser then draws with
/// its own sans-serif, which is rarely wider.
fn have_font() -> Result<(), Box<dyn Error>> {
    static DONE: OnceLock<bool> = OnceLock::new();
    let register = || {
        let normal = register_font(FAMILY, FontStyle::Normal, dejavu::sans::regular());
        let bold = register_font(FAMILY, FontStyle::Bold, dejavu::sans::bold());
        normal.is_ok() && bold.is_ok()
    };
    if *DONE.get_or_init(register) { Ok(()) } else { Err("the bundled font cannot be read".into()) }
}

/// A figure as SVG text. `label` says what it shows to those who cannot see it.
pub(super) fn figure(
    name: &'static str,
    label: &str,
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Drawn<()>,
) -> Result<String, ReportError> {
    let mut svg = String::new();
    let make = |svg: &mut String| -> Drawn<()> {
        have_font()?;
        let root = SVGBackend::with_string(svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        draw(&root)?;
        root.present()?;
        Ok(())
    };
    make(&mut svg).map_err(|error| ReportError::Figure { figure: name, what: error.to_string() })?;
    Ok(svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{}\" ", escaped(label)), 1))
}

/// Text that HTML and XML read as it is.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(super) fn text_style(size: f64, colour: RGBColor) -> TextStyle<'static> {
    (FAMILY, size).into_font().color(&colour)
}

/// Width of a label in pixels.
pub(super) fn width_of(text: &str) -> i32 {
    let style = text_style(TEXT_SIZE, TEXT);
    // A character of the bundled font is about 0.6 em; only a broken font gets here.
    let guess = (text.chars().count() as f64 * TEXT_SIZE * 0.6) as u32;
    style.font.layout_box(text).map_or(guess as i32, |((x0, _), (x1, _))| x1 - x0)
}

/// Text at a place, anchored at its middle height.
pub(super) fn write(area: &Area<'_>, text: &str, at: (i32, i32), horizontal: HPos, colour: RGBColor) -> Drawn<()> {
    let style = text_style(TEXT_SIZE, colour).pos(Pos::new(horizontal, VPos::Center));
    area.draw_text(text, &style, at)?;
    Ok(())
}

/// Draws a legend along the top, outside every panel, in as many rows as it takes. Returns what is left of the area below.
pub(super) fn legend<'b>(area: &Area<'b>, entries: &[(String, Ink)]) -> Drawn<Area<'b>> {
    let width = area.dim_in_pixel().0 as i32;
    let (mut x, mut y) = (16, LEGEND_ROW / 2 + 4);
    for (name, ink) in entries {
        let needed = SWATCH + 8 + width_of(name) + 24;
        if x > 16 && x + needed > width {
            (x, y) = (16, y + LEGEND_ROW);
        }
        let line = vec![(x, y), (x + SWATCH, y)];
        let style = ink.colour.stroke_width(4);
        if ink.dashed {
            area.draw(&DashedPathElement::new(line, 6, 4, style))?;
        } else {
            area.draw(&PathElement::new(line, style))?;
        }
        write(area, name, (x + SWATCH + 8, y), HPos::Left, TEXT)?;
        x += needed;
    }
    Ok(area.split_vertically(y + LEGEND_ROW / 2 + 4).1)
}

fn ticked(axis: &Axis) -> Ticked {
    Ticked { range: axis.range.clone(), ticks: axis.positions() }
}

/// Axes, grid and heading of one panel. `left` is the room for labels of the vertical axis.
pub(super) fn panel<'a, 'b>(area: &'a Area<'b>, heading: &str, x: &Axis, y: &Axis, left: i32) -> Drawn<Chart<'a, 'b>> {
    let bold = (FAMILY, TEXT_SIZE + 1.0, FontStyle::Bold).into_font().color(&TEXT);
    area.draw_text(heading, &bold.pos(Pos::new(HPos::Left, VPos::Center)), (left + 8, 14))?;
    let mut chart = ChartBuilder::on(area)
        .margin_top(30)
        .margin_left(8)
        .margin_right(22)
        .margin_bottom(6)
        .x_label_area_size(if x.title.is_empty() { 28 } else { 50 })
        .y_label_area_size(left)
        .build_cartesian_2d(ticked(x), ticked(y))?;
    chart
        .configure_mesh()
        .x_label_formatter(&|at| x.label(*at))
        .y_label_formatter(&|at| y.label(*at))
        .x_desc(x.title.as_str())
        .y_desc(y.title.as_str())
        .axis_desc_style(text_style(TEXT_SIZE, TEXT))
        .label_style(text_style(TEXT_SIZE - 1.0, TEXT))
        .axis_style(GREY)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .draw()?;
    Ok(chart)
}

/// A line through points.
pub(super) fn line(chart: &mut Chart<'_, '_>, points: Vec<(f64, f64)>, ink: Ink) -> Drawn<()> {
    let style = ink.colour.stroke_width(2);
    if ink.dashed {
        chart.draw_series(DashedLineSeries::new(points, 6, 4, style))?;
    } else {
        chart.draw_series(LineSeries::new(points, style))?;
    }
    Ok(())
}

/// A reference line that is no data.
pub(super) fn rule(chart: &mut Chart<'_, '_>, points: [(f64, f64); 2]) -> Drawn<()> {
    chart.draw_series(DashedLineSeries::new(points, 3, 4, GREY.stroke_width(1)))?;
    Ok(())
}

/// Rows with names, the first on top. Returns the axis and the room that its labels need.
pub(super) fn categories(names: &[String]) -> (Axis, i32) {
    let count = names.len();
    let ticks = names.iter().enumerate().map(|(i, name)| (row_of(i, count), name.clone())).collect();
    let room = names.iter().map(|name| width_of(name)).max().unwrap_or(0) + 16;
    (Axis { range: -0.5..count as f64 - 0.5, ticks, title: String::new() }, room)
}

/// Where row `i` of `count` lies on the axis of [`categories`].
pub(super) fn row_of(i: usize, count: usize) -> f64 {
    (count - 1 - i) as f64
}

/// A name that fits in a margin.
pub(super) fn shortened(name: &str, max: usize) -> String {
    if name.chars().count() <= max { name.into() } else { name.chars().take(max - 1).chain(['…']).collect() }
}
