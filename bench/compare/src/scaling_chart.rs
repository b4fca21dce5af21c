//! `scaling.svg`: cost per delivery and memory per connection over the number of connections, a line for each
//! number of shards.

use std::path::Path;

use plotters::{coord::Shift, prelude::*};

use crate::{
    charts::{FAINT, FONT, INK, text},
    failure::Failure,
    scaling::{Point, Scaling},
    text::grouped,
};

const FILE: &str = "scaling.svg";
const SIZE: (u32, u32) = (1040, 380);
const LINES: [RGBColor; 2] = [RGBColor(0xd9, 0x4f, 0x21), RGBColor(0x4a, 0x78, 0xa8)];
/// Above the highest point.
const HEADROOM: f64 = 1.25;

/// Writes `scaling.svg`.
pub(crate) fn write(scaling: &Scaling, folder: &Path) -> Result<(), Failure> {
    let path = folder.join(FILE);
    draw(scaling, &path).map_err(|it| Failure::Setup(format!("{}: {it}", path.display())))
}

fn draw(scaling: &Scaling, path: &Path) -> Result<(), String> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(text)?;
    let (left, right) = root.split_horizontally(SIZE.0 / 2);
    let title =
        format!("CPU per delivery, µs, at {} deliveries/s", grouped(f64::from(scaling.deliveries_per_s)));
    let (below, above) = (SeriesLabelPosition::LowerRight, SeriesLabelPosition::UpperRight);
    panel(&left, &title, scaling, below, |it| it.traffic.median.as_ref().map(|it| it.cpu_us_per_unit))?;
    panel(&right, "Resident memory per idle connection, bytes", scaling, above, |it| {
        it.idle.median.as_ref().map(crate::measure::Sample::bytes_per_connection)
    })?;
    root.present().map_err(text)
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    scaling: &Scaling,
    legend: SeriesLabelPosition,
    figure: impl Fn(&Point) -> Option<f64>,
) -> Result<(), String> {
    let most = scaling.points.iter().map(|it| it.connections).max().unwrap_or(1);
    let largest = scaling.points.iter().filter_map(&figure).fold(f64::MIN_POSITIVE, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(14)
        .caption(title, (FONT, 15).into_font().color(&INK))
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..f64::from(most) * 1.05, 0.0..largest * HEADROOM)
        .map_err(text)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT.mix(0.25))
        .x_desc("connections")
        .x_label_formatter(&|it| grouped(*it))
        .y_label_formatter(&|it| if largest < 20.0 { format!("{it:.1}") } else { grouped(*it) })
        .label_style((FONT, 12).into_font().color(&INK))
        .draw()
        .map_err(text)?;
    let mut shards: Vec<u32> = scaling.points.iter().map(|it| it.shards).collect();
    shards.dedup();
    for (color, shards) in LINES.into_iter().zip(shards) {
        let of_shards = scaling.points.iter().filter(|it| it.shards == shards);
        let line: Vec<(f64, f64)> =
            of_shards.filter_map(|it| Some((f64::from(it.connections), figure(it)?))).collect();
        let label = if shards == 1 { "1 shard".to_owned() } else { format!("{shards} shards") };
        chart
            .draw_series(LineSeries::new(line.clone(), color.stroke_width(2)))
            .map_err(text)?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
        chart.draw_series(line.into_iter().map(|it| Circle::new(it, 3, color.filled()))).map_err(text)?;
    }
    chart
        .configure_series_labels()
        .position(legend)
        .label_font((FONT, 12).into_font().color(&INK))
        .draw()
        .map_err(text)
}
