//! One chart: series in, SVG out. Colours and fonts are the page's (classes and CSS variables), so that a chart follows its theme
//! and prints; it stands there twice, drawn for wide and for narrow pages, so that its letters are readable on both.
//!
//! Invariants: every coordinate is finite and within the picture; labels of an axis do not overlap.

use std::fmt::Write;

use crate::report::html::{markup::escape, scale::Scale};

/// Classes `s1` to `s6`: more series than that nobody tells apart.
pub(crate) const SERIES_MAX: usize = 6;

/// Of a letter at the size of labels; a little more than most fonts need.
const LETTER_WIDTH: f64 = 7.0;
const LABEL_GAP: f64 = 10.0;
/// How much wider bold letters are.
const BOLD: f64 = 1.15;
/// Above is the unit, and below that the names of bands, if there are any.
const TOP: f64 = 26.0;
const TOP_WITH_BANDS: f64 = 34.0;
const BOTTOM: f64 = 24.0;
const RIGHT: f64 = 16.0;
const LINE_HEIGHT: f64 = 12.0;

/// What is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    /// Unique on the page; letters and hyphens.
    pub(crate) id: String,
    pub(crate) title: String,
    /// What can be seen in it, for those who cannot.
    pub(crate) about: String,
    pub(crate) x: Scale,
    pub(crate) y: Scale,
    /// With unit: `ms`, `messages per second`.
    pub(crate) y_name: String,
    pub(crate) bands: Vec<Band>,
    pub(crate) series: Vec<Series>,
    pub(crate) marks: Vec<Mark>,
    /// Of the wide picture, in pixels.
    pub(crate) height: u32,
}

/// A part of the x axis with a name.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Band {
    pub(crate) name: String,
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) is_shaded: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) form: Form,
    /// In order of x; `None` is a gap.
    pub(crate) points: Vec<(f64, Option<f64>)>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Form {
    Line,
    /// A line with what is below it filled.
    Area,
    /// Each this wide, in units of x.
    Bars(f64),
}

/// A limit that holds at one x.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Mark {
    pub(crate) name: String,
    pub(crate) at: (f64, f64),
    pub(crate) held: bool,
}

/// For which page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Size {
    Wide,
    Narrow,
}

/// Where things are in one picture.
#[derive(Clone, Copy, Debug)]
struct Area {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Chart {
    /// The chart with its title and its legend.
    pub(crate) fn figure(&self) -> String {
        let mut out = format!("<figure>\n<figcaption><h3>{}</h3>", escape(&self.title));
        if self.series.len() > 1 {
            out.push_str("<ul class=\"legend\">");
            for (index, series) in self.series.iter().enumerate() {
                let name = escape(&series.name);
                let _ = write!(
                    out,
                    "<li><svg class=\"key\" viewBox=\"0 0 26 10\" aria-hidden=\"true\"><path class=\"line {}\" d=\"M1 5H25\"/></svg>{name}</li>",
                    class(index)
                );
            }
            out.push_str("</ul>");
        }
        out.push_str("</figcaption>\n");
        out.push_str(&self.svg(Size::Wide));
        out.push_str(&self.svg(Size::Narrow));
        out.push_str("</figure>\n");
        out
    }

    fn svg(&self, size: Size) -> String {
        let (width, height, x_labels, y_labels) = match size {
            Size::Wide => (1_080, self.height, 10, self.height as usize / 50),
            Size::Narrow => (360, self.height.clamp(170, 250), 4, self.height.clamp(170, 250) as usize / 44),
        };
        let name = match size {
            Size::Wide => "wide",
            Size::Narrow => "narrow",
        };
        let y_ticks = self.y.ticks(y_labels);
        let widest = y_ticks.iter().map(|it| text_width(&it.label)).fold(0.0, f64::max);
        let area = Area {
            left: match size {
                // The same for all, so that seconds stand one above the other.
                Size::Wide => (widest + LABEL_GAP).max(72.0),
                Size::Narrow => (widest + LABEL_GAP).max(48.0),
            },
            right: f64::from(width) - RIGHT,
            top: if self.bands.is_empty() { TOP } else { TOP_WITH_BANDS },
            bottom: f64::from(height) - BOTTOM,
        };
        let id = format!("{}-{name}", self.id);
        let mut out = format!(
            "<svg id=\"{id}\" class=\"chart {name}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
             <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>\n",
            escape(&self.title),
            escape(&self.about)
        );
        self.draw_bands(&mut out, area);
        draw_y_axis(&mut out, area, &y_ticks, &self.y_name);
        self.draw_x_axis(&mut out, area, x_labels);
        // The first series is the most important one, and lies on top.
        for (index, series) in self.series.iter().enumerate().rev() {
            self.draw_series(&mut out, area, index, series);
        }
        self.draw_marks(&mut out, area);
        out.push_str("</svg>\n");
        out
    }

    fn draw_bands(&self, out: &mut String, area: Area) {
        for band in &self.bands {
            let (Some(from), Some(to)) = (self.x.place(band.from), self.x.place(band.to)) else { continue };
            let (from, to) = (area.x(from), area.x(to));
            let class = if band.is_shaded { "band shaded" } else { "band" };
            let _ = write!(out, "<g class=\"{class}\"><title>{}</title>", escape(&band.name));
            let (width, height) = (to - from, area.bottom - area.top);
            let _ = write!(
                out,
                "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>",
                area.top
            );
            let _ = write!(out, "<path d=\"M{from:.1} {:.1}V{:.1}\"/>", area.top - LINE_HEIGHT, area.bottom);
            let name = shortened(&band.name, width - LABEL_GAP);
            if !name.is_empty() {
                let _ = write!(
                    out,
                    "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                    from + 4.0,
                    area.top - 5.0,
                    escape(&name)
                );
            }
            out.push_str("</g>\n");
        }
    }

    fn draw_x_axis(&self, out: &mut String, area: Area, labels: usize) {
        let ticks = self.x.ticks(labels);
        let bottom = area.bottom;
        let _ = write!(out, "<g class=\"axis x\"><path d=\"M{:.1} {bottom:.1}H{:.1}", area.left, area.right);
        for tick in &ticks {
            let _ = write!(out, "M{:.1} {bottom:.1}v4", area.x(tick.place));
        }
        out.push_str("\"/>");
        // Where there is no room for all, the minor ones give way, then those to the right.
        let mut taken: Vec<(f64, f64)> = Vec::new();
        let (minor, major): (Vec<_>, Vec<_>) = ticks.iter().partition(|it| it.is_minor);
        for tick in major.into_iter().chain(minor) {
            let half = text_width(&tick.label) / 2.0;
            // At the ends a label stands within the picture.
            let middle = area.x(tick.place).min(area.right + RIGHT - half);
            let (from, to) = (middle - half, middle + half);
            let is_free = taken.iter().all(|it| to + LABEL_GAP <= it.0 || from >= it.1 + LABEL_GAP);
            if is_free {
                taken.push((from, to));
                let y = bottom + 17.0;
                let _ = write!(out, "<text x=\"{middle:.1}\" y=\"{y:.1}\">{}</text>", escape(&tick.label));
            }
        }
        out.push_str("</g>\n");
    }

    fn draw_series(&self, out: &mut String, area: Area, index: usize, series: &Series) {
        let place = |(x, y): (f64, Option<f64>)| Some((area.x(self.x.place(x)?), area.y(self.y.place(y?)?)));
        let class = class(index);
        match series.form {
            Form::Bars(width) => {
                let mut path = String::new();
                for &(x, y) in &series.points {
                    let from = place((x - width / 2.0, y));
                    let Some(((from, top), (to, _))) = from.zip(place((x + width / 2.0, y))) else {
                        continue;
                    };
                    // Bars of nothing are not drawn; the smallest of something is seen.
                    if y.is_some_and(|it| it > 0.0) {
                        let (inset, top) = (((to - from) * 0.1).min(1.0), top.min(area.bottom - 1.0));
                        let (from, to) = (from + inset, (to - inset).max(from + 1.0));
                        let bottom = area.bottom;
                        let _ = write!(path, "M{from:.1} {bottom:.1}V{top:.1}H{to:.1}V{bottom:.1}Z");
                    }
                }
                if !path.is_empty() {
                    let _ = writeln!(out, "<path class=\"bars {class}\" d=\"{path}\"/>");
                }
            }
            Form::Line | Form::Area => {
                let runs = runs(series.points.iter().map(|it| place(*it)));
                let mut path = String::new();
                for run in &runs {
                    line_to(&mut path, run);
                    if let &[(x, y)] = run.as_slice() {
                        let _ = writeln!(
                            out,
                            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>"
                        );
                    }
                }
                if series.form == Form::Area {
                    let mut fill = String::new();
                    for run in runs.iter().filter(|it| it.len() > 1) {
                        line_to(&mut fill, run);
                        let _ = write!(fill, "V{:.1}H{:.1}Z", area.bottom, run[0].0);
                    }
                    let _ = writeln!(out, "<path class=\"fill {class}\" d=\"{fill}\"/>");
                }
                if !path.is_empty() {
                    let _ = writeln!(out, "<path class=\"line {class}\" d=\"{path}\"/>");
                }
            }
        }
    }

    fn draw_marks(&self, out: &mut String, area: Area) {
        for mark in &self.marks {
            let place = self.x.place(mark.at.0).zip(self.y.place(mark.at.1));
            let Some((x, y)) = place.map(|(x, y)| (area.x(x), area.y(y))) else { continue };
            let class = if mark.held { "mark good" } else { "mark bad" };
            // The name stands on the side where there is room.
            let (anchor, text) = if x - text_width(&mark.name) * BOLD - LABEL_GAP > area.left {
                ("end", x - 6.0)
            } else {
                ("start", x + 10.0)
            };
            let name = escape(&mark.name);
            let _ = writeln!(
                out,
                "<g class=\"{class}\"><path d=\"M{:.1} {y:.1}h16M{x:.1} {y:.1}l-5 -8h10z\"/><text x=\"{text:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{name}</text></g>",
                x - 8.0,
                (y - 4.0).max(10.0)
            );
        }
    }
}

fn draw_y_axis(out: &mut String, area: Area, ticks: &[crate::report::html::scale::Tick], name: &str) {
    let _ = write!(out, "<text class=\"unit\" x=\"2\" y=\"11\">{}</text>", escape(name));
    out.push_str("<g class=\"axis y\"><path d=\"");
    for tick in ticks {
        let _ = write!(out, "M{:.1} {:.1}H{:.1}", area.left, area.y(tick.place), area.right);
    }
    out.push_str("\"/>");
    let mut last = f64::INFINITY;
    for tick in ticks {
        let y = area.y(tick.place);
        if last - y >= LINE_HEIGHT {
            last = y;
            let x = area.left - 7.0;
            let _ = write!(out, "<text x=\"{x:.1}\" y=\"{:.1}\">{}</text>", y + 4.0, escape(&tick.label));
        }
    }
    out.push_str("</g>\n");
}

impl Area {
    fn x(&self, place: f64) -> f64 {
        self.left + place * (self.right - self.left)
    }

    fn y(&self, place: f64) -> f64 {
        self.bottom - place * (self.bottom - self.top)
    }
}

/// What is between gaps.
fn runs(points: impl Iterator<Item = Option<(f64, f64)>>) -> Vec<Vec<(f64, f64)>> {
    let mut runs = vec![Vec::new()];
    for point in points {
        match (point, runs.last_mut()) {
            (Some(point), Some(run)) => run.push(point),
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            (None | Some(_), _) => {}
        }
    }
    runs.retain(|it| !it.is_empty());
    runs
}

fn line_to(path: &mut String, run: &[(f64, f64)]) {
    for (index, (x, y)) in run.iter().enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
    }
}

fn class(index: usize) -> String {
    format!("s{}", index % SERIES_MAX + 1)
}

fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER_WIDTH
}

/// As much of it as has room; nothing where that would say nothing.
fn shortened(text: &str, room: f64) -> String {
    let letters = (room / LETTER_WIDTH).max(0.0) as usize;
    match text.chars().count() {
        count if count <= letters => text.to_owned(),
        _ if letters < 4 => String::new(),
        _ => text.chars().take(letters - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
#[path = "chart_tests.rs"]
mod tests;
