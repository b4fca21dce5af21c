//! Charts as SVG: golden for small ones, and what holds for all.

use super::*;
use crate::report::html::scale::Unit;

fn chart(points: Vec<(f64, Option<f64>)>, form: Form) -> Chart {
    let values: Vec<f64> = points.iter().filter_map(|it| it.1).collect();
    Chart {
        id: "c".to_owned(),
        title: "A & B".to_owned(),
        about: "About.".to_owned(),
        x: Scale::exact(0.0, 10.0, Unit::Clock),
        y: Scale::linear(values.into_iter(), Unit::Count, 4),
        y_name: "per second".to_owned(),
        bands: Vec::new(),
        series: vec![Series { name: "a".to_owned(), form, points }],
        marks: Vec::new(),
        height: 200,
    }
}

#[test]
fn a_small_chart() {
    let chart = chart(vec![(0.0, Some(0.0)), (5.0, Some(2.0)), (6.0, None), (10.0, Some(4.0))], Form::Area);
    let expected = "\
<svg id=\"c-wide\" class=\"chart wide\" viewBox=\"0 0 1080 200\" role=\"img\" aria-labelledby=\"c-wide-t c-wide-d\">
<title id=\"c-wide-t\">A &amp; B</title><desc id=\"c-wide-d\">About.</desc>
<text class=\"unit\" x=\"2\" y=\"11\">per second</text><g class=\"axis y\"><path d=\"M72.0 176.0H1064.0M72.0 138.5H1064.0M72.0 101.0H1064.0M72.0 63.5H1064.0M72.0 26.0H1064.0\"/><text x=\"65.0\" y=\"180.0\">0</text><text x=\"65.0\" y=\"142.5\">1</text><text x=\"65.0\" y=\"105.0\">2</text><text x=\"65.0\" y=\"67.5\">3</text><text x=\"65.0\" y=\"30.0\">4</text></g>
<g class=\"axis x\"><path d=\"M72.0 176.0H1064.0M72.0 176.0v4M171.2 176.0v4M270.4 176.0v4M369.6 176.0v4M468.8 176.0v4M568.0 176.0v4M667.2 176.0v4M766.4 176.0v4M865.6 176.0v4M964.8 176.0v4M1064.0 176.0v4\"/><text x=\"72.0\" y=\"193.0\">0 s</text><text x=\"171.2\" y=\"193.0\">1 s</text><text x=\"270.4\" y=\"193.0\">2 s</text><text x=\"369.6\" y=\"193.0\">3 s</text><text x=\"468.8\" y=\"193.0\">4 s</text><text x=\"568.0\" y=\"193.0\">5 s</text><text x=\"667.2\" y=\"193.0\">6 s</text><text x=\"766.4\" y=\"193.0\">7 s</text><text x=\"865.6\" y=\"193.0\">8 s</text><text x=\"964.8\" y=\"193.0\">9 s</text><text x=\"1064.0\" y=\"193.0\">10 s</text></g>
<circle class=\"s1\" cx=\"1064.0\" cy=\"26.0\" r=\"2.5\"/>
<path class=\"fill s1\" d=\"M72.0 176.0L568.0 101.0V176.0H72.0Z\"/>
<path class=\"line s1\" d=\"M72.0 176.0L568.0 101.0M1064.0 26.0\"/>
</svg>
";
    assert_eq!(chart.svg(Size::Wide), expected);
}

#[test]
fn bars_of_nothing_are_not_drawn_and_small_ones_are_seen() {
    let bars =
        chart(vec![(0.5, Some(0.0)), (1.5, Some(1.0)), (2.5, Some(100_000.0)), (3.5, None)], Form::Bars(1.0));
    let svg = bars.svg(Size::Wide);
    assert!(svg.contains("d=\"M172.2 176.0V175.0H269.4V176.0ZM271.4 176.0V26.0H368.6V176.0Z\""), "{svg}");
}

#[test]
fn an_empty_chart_and_odd_numbers_are_drawn() {
    let odd =
        vec![(f64::NAN, Some(1.0)), (1.0, Some(f64::NAN)), (2.0, Some(f64::INFINITY)), (-5.0, Some(-5.0))];
    for form in [Form::Line, Form::Area, Form::Bars(1.0)] {
        for points in [Vec::new(), vec![(3.0, Some(1.0))], odd.clone()] {
            for size in [Size::Wide, Size::Narrow] {
                let svg = chart(points.clone(), form).svg(size);
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }
    let one = chart(vec![(3.0, Some(1.0))], Form::Line).svg(Size::Narrow);
    assert!(one.contains("<circle"), "one point is seen: {one}");
}

#[test]
fn names_of_bands_fit_into_them() {
    let mut chart = chart(vec![(0.0, Some(1.0))], Form::Line);
    let band = |name: &str, from, to| Band { name: name.to_owned(), from, to, is_shaded: true };
    chart.bands = vec![band("a storm of reconnects", 0.0, 1.0), band("x", 1.0, 1.1), band("all", 1.1, 10.0)];
    let svg = chart.svg(Size::Wide);
    for text in [">a storm of …</text>", "<title>x</title>", ">all</text>"] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
    assert!(!svg.contains(">x</text>"));
    assert_eq!(shortened("abc", -1.0), "");
}

#[test]
fn labels_of_the_x_axis_do_not_overlap() {
    let mut chart = chart(vec![(0.0, Some(1.0))], Form::Line);
    for (lo, hi, unit) in [(0.0, 6.3, Unit::Nines), (0.0, 1.3, Unit::Nines), (0.0, 600_000.0, Unit::Clock)] {
        chart.x = Scale::exact(lo, hi, unit);
        for size in [Size::Wide, Size::Narrow] {
            let svg = chart.svg(size);
            let axis = &svg[svg.find("axis x").unwrap()..];
            let mut places: Vec<(f64, f64)> = axis
                .split("<text x=\"")
                .skip(1)
                .map(|it| {
                    let (x, rest) = it.split_once('"').unwrap();
                    let text = rest.split_once('>').unwrap().1.split('<').next().unwrap();
                    let (x, half): (f64, f64) = (x.parse().unwrap(), text_width(text) / 2.0);
                    (x - half, x + half)
                })
                .collect();
            places.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(places.len() > 1 && places.windows(2).all(|it| it[0].1 < it[1].0), "{places:?}");
        }
    }
}
