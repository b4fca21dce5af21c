//! The results as pictures: for every scenario a panel of bars, each panel with a scale of its own.
//!
//! SVG only, so that it can be looked at anywhere and compared as text. What does not count is drawn pale.

use std::path::Path;

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{
    failure::Failure,
    figures::{Figure, standing},
    peers::Standing,
    results::{Entry, Results, ScenarioResults},
};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const FILE: &str = "compare.svg";
const PANEL_WIDTH: i32 = 520;
const COLUMNS: usize = 2;
const TITLE_HEIGHT: i32 = 70;
const PANEL_HEAD: i32 = 52;
const PANEL_FOOT: i32 = 18;
const BAR_STEP: i32 = 20;
const BAR_HEIGHT: i32 = 14;
const LABEL_WIDTH: i32 = 160;
const VALUE_WIDTH: i32 = 80;
const MARGIN: i32 = 14;

pub(crate) const FONT: &str = "sans-serif";
pub(crate) const INK: RGBColor = RGBColor(0x22, 0x28, 0x31);
pub(crate) const FAINT: RGBColor = RGBColor(0x6b, 0x72, 0x80);
const OURS: RGBColor = RGBColor(0xd9, 0x4f, 0x21);
const PEER: RGBColor = RGBColor(0x4a, 0x78, 0xa8);
const FLOOR: RGBColor = RGBColor(0x9a, 0xa1, 0xab);
const PALE: f64 = 0.35;

/// Writes `compare.svg`.
pub(crate) fn write(results: &Results, folder: &Path) -> Result<(), Failure> {
    let path = folder.join(FILE);
    draw(results, &path).map_err(|it| Failure::Setup(format!("{}: {it}", path.display())))
}

/// The errors of plotters borrow the drawing; their text does not.
fn draw(results: &Results, path: &Path) -> Result<(), String> {
    let rows: Vec<&[ScenarioResults]> = results.scenarios.chunks(COLUMNS).collect();
    let height_of = |row: &[ScenarioResults]| {
        let bars = row.iter().map(|it| it.entries.len()).max().unwrap_or_default();
        PANEL_HEAD + BAR_STEP * bars as i32 + PANEL_FOOT
    };
    let height = TITLE_HEIGHT + rows.iter().map(|it| height_of(it)).sum::<i32>();
    let size = ((PANEL_WIDTH * COLUMNS as i32) as u32, height as u32);
    let root = SVGBackend::new(path, size).into_drawing_area();
    root.fill(&WHITE).map_err(text)?;
    heading(&root, results)?;
    let mut top = TITLE_HEIGHT;
    for row in rows {
        for (column, scenario) in (0..).zip(row) {
            panel(&root, (column * PANEL_WIDTH, top), results, scenario)?;
        }
        top += height_of(row);
    }
    root.present().map_err(text)
}

fn heading(root: &Area<'_>, results: &Results) -> Result<(), String> {
    let machine = &results.machine;
    write_text(root, "Ringway beside its peers", (MARGIN, 12), (FONT, 20).into_font().color(&INK))?;
    let line = format!(
        "{}, server and generator on a core each, Linux {}, {}, medians of {} rounds; pale with *: does not count",
        machine.cpu,
        machine.kernel,
        machine.date.split('T').next().unwrap_or_default(),
        results.rounds
    );
    write_text(root, &line, (MARGIN, 40), (FONT, 12).into_font().color(&FAINT))
}

fn panel(
    root: &Area<'_>,
    (left, top): (i32, i32),
    results: &Results,
    scenario: &ScenarioResults,
) -> Result<(), String> {
    let figure = Figure::of_scenario(&scenario.name);
    let title = format!("{}: {}", scenario.name, figure.head);
    write_text(root, &title, (left + MARGIN, top + 8), (FONT, 14).into_font().color(&INK))?;
    let better = if figure.more_is_better { "more is better" } else { "less is better" };
    let about = format!("{}; {better}", scenario.about);
    write_text(root, &about, (left + MARGIN, top + 27), (FONT, 11).into_font().color(&FAINT))?;

    let ranked = figure.rank(&scenario.entries);
    let value = |it: &Entry| it.median.as_ref().map(figure.of);
    let largest = ranked.iter().filter_map(|it| value(it)).fold(f64::MIN_POSITIVE, f64::max);
    let (zero, width) = (left + LABEL_WIDTH, PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH);
    for (at, entry) in (0..).zip(ranked) {
        let y = top + PANEL_HEAD + at * BAR_STEP;
        let middle = y + BAR_HEIGHT / 2;
        let label = (FONT, 12).into_font().color(&INK).pos(Pos::new(HPos::Right, VPos::Center));
        write_text(root, &entry.peer, (zero - 6, middle), label)?;
        let counts = entry.objections.is_empty();
        let color = match standing(results, &entry.peer) {
            Standing::Ours => OURS,
            Standing::Peer => PEER,
            Standing::Floor => FLOOR,
        };
        let shown = match value(entry) {
            Some(value) => {
                let length = (f64::from(width) * (value / largest).max(0.0)) as i32;
                let bar = [(zero, y), (zero + length, y + BAR_HEIGHT)];
                let style = color.mix(if counts { 1.0 } else { PALE }).filled();
                root.draw(&Rectangle::new(bar, style)).map_err(text)?;
                let mark = if counts { "" } else { "*" };
                (zero + length, format!("{}{mark}", (figure.show)(value)))
            }
            None => (zero, "failed".to_owned()),
        };
        let style = (FONT, 12).into_font().color(&FAINT).pos(Pos::new(HPos::Left, VPos::Center));
        write_text(root, &shown.1, (shown.0 + 5, middle), style)?;
    }
    Ok(())
}

fn write_text(root: &Area<'_>, line: &str, at: (i32, i32), style: TextStyle<'_>) -> Result<(), String> {
    root.draw(&Text::new(line, at, style)).map_err(text)
}

pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
