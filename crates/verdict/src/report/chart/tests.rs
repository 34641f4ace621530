//! Charts as a reader sees them: their words, and what stands where.

use super::*;
use crate::recommend::Group;

fn axis(label: &str, unit: Unit, log: bool) -> Axis {
    Axis { label: label.into(), unit, log }
}

fn samples() -> [Chart; 3] {
    let point = |label: &str, x: f64, y: f64, group, standing, advised| Point {
        label: label.into(),
        x,
        y,
        y_interval: Some((y - 0.03, (y + 0.03).min(1.0))),
        group,
        standing,
        on_front: standing == Group::Qualifies && x < 20e6,
        reference: label == "bantam-l",
        advised,
    };
    let points = vec![
        point("bantam-l", 24e6, 0.93, 0, Group::Qualifies, false),
        point("bantam-l · Q8_0", 19e6, 0.93, 0, Group::Qualifies, false),
        point("bantam-l · Q4_K_M", 17e6, 0.91, 0, Group::Qualifies, true),
        point("bantam-l · Q2_K", 16e6, 0.55, 0, Group::Out, false),
        point("bantam-m", 15.5e6, 0.78, 1, Group::CannotTell, false),
        point("bantam-s", 12e6, 0.42, 2, Group::Out, false),
    ];
    let limits = vec![Limit { on_x: true, value: 20e6, label: "max_memory 19.1 MiB".into() }];
    let scatter = Plot::Scatter(Scatter {
        x: axis("peak memory", Unit::Bytes, true),
        y: axis("mean score", Unit::Fraction, false),
        more_is_better: false,
        models: ["bantam-l", "bantam-m", "bantam-s"].map(String::from).to_vec(),
        points,
        limits,
    });
    let bar = |label: &str, value: Result<f64, String>, group, estimated| Bar {
        label: label.into(),
        interval: value.as_ref().ok().map(|v| (v * 0.95, v * 1.05)),
        value,
        group,
        estimated,
        doubtful: group == 0,
        advised: group == 1,
    };
    let rows = vec![
        bar("bantam-l", Ok(3200.0), 0, false),
        bar("bantam-m <&>", Ok(8800.0), 1, true),
        bar("bantam-s", Err("the worker was killed for memory".into()), 2, false),
    ];
    let bars = Plot::Bars(Bars { value: axis("decode", Unit::TokensPerSecond, false), rows });
    let series = |label: &str, group, dash, values: [Option<f64>; 4]| Series {
        label: label.into(),
        group,
        dash,
        points: values.map(|v| v.map(|v| (v, Some((v - 0.05, v + 0.04))))).to_vec(),
    };
    let lines = Plot::Lines(Lines {
        x_label: "depth".into(),
        steps: ["1", "2", "3", "4"].map(String::from).to_vec(),
        y: axis("exact match", Unit::Fraction, false),
        series: vec![
            series("bantam-l", 0, 0, [Some(0.95), Some(0.9), Some(0.7), Some(0.6)]),
            series("bantam-l · Q2_K", 0, 1, [Some(0.6), None, Some(0.3), Some(0.2)]),
        ],
        chance: Some(0.25),
    });
    [("scatter", scatter), ("bars", bars), ("lines", lines)].map(|(name, plot)| Chart {
        name: name.into(),
        title: format!("A {name} chart"),
        note: String::new(),
        plot,
    })
}

#[test]
fn every_kind_is_drawn_as_svg_and_png_with_its_words() {
    for chart in samples() {
        let svg = svg(&chart).expect("draws");
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("bantam-l") && svg.contains(&chart.title), "{svg}");
        assert!(!svg.contains("<&>"), "names are escaped");
        let png = png(&chart).expect("draws");
        assert_eq!(&png[1..4], b"PNG");
        if let Ok(folder) = std::env::var("BANTAM_SHOW_CHARTS") {
            std::fs::write(format!("{folder}/{}.png", chart.name), png).expect("the folder is there");
            std::fs::write(format!("{folder}/{}.svg", chart.name), svg).expect("the folder is there");
        }
    }
}

#[test]
fn a_missing_bar_says_why_instead_of_standing_at_zero() {
    let [_, bars, _] = samples();
    assert!(svg(&bars).expect("draws").contains("not available: the worker was killed for memory"));
}

#[test]
fn charts_without_points_are_still_charts() {
    let empty = |plot| Chart { name: "empty".into(), title: "Empty".into(), note: String::new(), plot };
    let x = axis("x", Unit::Bytes, true);
    let scatter =
        Scatter { x: x.clone(), y: x.clone(), more_is_better: false, models: vec![], points: vec![], limits: vec![] };
    let lines = Lines { x_label: "x".into(), steps: vec![], y: x.clone(), series: vec![], chance: None };
    for plot in [Plot::Scatter(scatter), Plot::Bars(Bars { value: x, rows: vec![] }), Plot::Lines(lines)] {
        assert!(svg(&empty(plot)).is_ok());
    }
}

/// Many variants of three models: some qualify, some cannot be told, some are far below.
fn crowd(size: usize) -> Scatter {
    let point = |i: usize| {
        let (standing, x, y) = match i % 3 {
            0 => (Group::Qualifies, 20e6 * 1.02f64.powi(i as i32), 0.90 + 0.0005 * i as f64),
            1 => (Group::CannotTell, 20e6 * 1.02f64.powi(i as i32 % 7), 0.89),
            _ => (Group::Out, 15e6, 0.40 - 0.001 * i as f64),
        };
        Point {
            label: format!("Qwen2.5-0.5B-Instruct-of-somebody · variant {i}"),
            x,
            y,
            y_interval: None,
            group: i % 3,
            standing,
            on_front: i == 0 || i == 3,
            reference: i == 6,
            advised: i == 3,
        }
    };
    Scatter {
        x: axis("peak memory", Unit::Bytes, true),
        y: axis("mean score", Unit::Fraction, false),
        more_is_better: false,
        models: ["large", "middle", "small"].map(String::from).to_vec(),
        points: (0..size).map(point).collect(),
        limits: vec![],
    }
}

fn drawn(plot: Plot) -> String {
    let chart = Chart { name: "crowd".into(), title: "A crowd".into(), note: String::new(), plot };
    if let Ok(folder) = std::env::var("BANTAM_SHOW_CHARTS") {
        std::fs::write(format!("{folder}/crowd.png"), png(&chart).expect("draws")).expect("the folder is there");
    }
    svg(&chart).expect("draws")
}

/// The texts of a chart with where they stand.
fn texts(svg: &str) -> Vec<(f64, f64, String)> {
    let parse = |part: &str| {
        let number = |key: &str| part.split(&format!("{key}=\"")).nth(1)?.split('"').next()?.parse::<f64>().ok();
        let text = part.split_once('>')?.1.split("</text>").next()?.trim().to_owned();
        Some((number(" x")?, number(" y")?, text))
    };
    svg.split("<text").skip(1).filter_map(parse).collect()
}

#[test]
fn only_the_front_the_advice_and_the_reference_have_names() {
    let svg = drawn(Plot::Scatter(crowd(60)));
    let named: Vec<String> =
        texts(&svg).into_iter().map(|(_, _, text)| text).filter(|t| t.contains("variant ")).collect();
    assert_eq!(named.len(), 3, "{named:?}");
    for i in [0, 3, 6] {
        assert!(named.iter().any(|text| text.contains(&format!("variant {i}"))), "{i} is not in {named:?}");
    }
}

#[test]
fn no_two_labels_of_many_variants_overlap() {
    let svg = drawn(Plot::Scatter(crowd(90)));
    let all = texts(&svg);
    for (i, (x, y, text)) in all.iter().enumerate() {
        // one line is 11 points high; labels start at their x
        let hit = all[i + 1..].iter().find(|(x2, y2, _)| (x - x2).abs() < 20.0 && (y - y2).abs() < 8.0);
        assert_eq!(hit, None, "{text} is overprinted");
    }
}

#[test]
fn what_is_far_from_what_qualifies_is_said_at_the_edge_and_does_not_take_the_scale() {
    let svg = drawn(Plot::Scatter(crowd(60)));
    let words: Vec<String> = texts(&svg).into_iter().map(|(_, _, text)| text).collect();
    assert!(words.iter().any(|text| text == "↓ 20 variants beyond this edge, down to 34.1%"), "{words:?}");
    let lowest = words.iter().filter_map(|text| text.strip_suffix('%')?.parse::<f64>().ok()).fold(f64::MAX, f64::min);
    assert!(lowest >= 70.0, "the scale starts at {lowest}%");
}

#[test]
fn points_at_one_place_are_counted() {
    let mut crowd = crowd(7);
    for point in &mut crowd.points {
        (point.x, point.y, point.standing) = (20e6, 0.9, Group::Qualifies);
    }
    let svg = drawn(Plot::Scatter(crowd));
    let here = texts(&svg).into_iter().find(|(_, _, text)| text.contains(" more here")).expect("a count");
    assert!(here.2.ends_with("and 5 more here"), "{}", here.2);
}

#[test]
fn the_three_groups_are_named_with_how_many_are_in_each() {
    let svg = drawn(Plot::Scatter(crowd(60)));
    for words in ["qualifies (20)", "cannot tell (20)", "out (20)"] {
        assert!(svg.contains(words), "{words}");
    }
}

#[test]
fn a_disturbed_row_does_not_press_the_others_together_and_is_marked() {
    let bar = |label: &str, value: f64, high: f64, doubtful| Bar {
        label: label.into(),
        value: Ok(value),
        interval: Some((-high, high)),
        group: 0,
        estimated: false,
        doubtful,
        advised: false,
    };
    let rows = vec![bar("quiet", 100.0, 104.0, false), bar("disturbed", 50.0, 90_000.0, true)];
    let svg = drawn(Plot::Bars(Bars { value: axis("decode", Unit::TokensPerSecond, false), rows }));
    assert!(svg.contains("50.0 tok/s *"), "{svg}");
    assert!(!texts(&svg).iter().any(|(_, _, text)| text == "50,000"), "the scale holds the values");
}

#[test]
fn a_long_name_keeps_its_model_and_its_recipe() {
    let mut crowd = crowd(4);
    crowd.points[3].label = format!("{} · Q4_K_M", "a-very-long-name-of-a-model".repeat(4));
    let svg = drawn(Plot::Scatter(crowd));
    assert!(
        texts(&svg).iter().any(|(_, _, t)| t.starts_with("a-very-long") && t.contains('…') && t.ends_with("Q4_K_M"))
    );
}
