//! The whole page: what is on it, that it is sound markup, needs nothing else, and holds nothing of what is not shown.

use super::*;

/// Every element that is opened is closed in turn.
fn assert_sound(page: &str) {
    const VOID: [&str; 1] = ["meta"];
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag has an end");
        if tag.starts_with('!') || tag.ends_with('/') {
            continue;
        }
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{tag}"),
            None if VOID.contains(&name) => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn pages_are_sound_and_need_nothing_else() {
    let pages = [("storm", fixture::storm()), ("calm", fixture::calm()), ("nothing", fixture::nothing())];
    for (name, summary) in pages {
        let page = render(&summary);
        // To be looked at.
        if let Ok(folder) = std::env::var("LOADGEN_PAGES") {
            std::fs::write(format!("{folder}/{name}.html"), &page).unwrap();
        }
        assert_sound(&page);
        for foreign in ["<script", "src=", "href=", "url(", "@import", "NaN", "inf"] {
            let found = page.find(foreign).map(|at| &page[at.saturating_sub(80)..at + foreign.len()]);
            assert_eq!(found, None, "{foreign}");
        }
        let mut ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|it| it.split('"').next()).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "an id stands for one element");
    }
}

#[test]
fn the_verdict_and_its_reasons_come_first() {
    let page = render(&fixture::storm());
    let head = &page[..page.find("</header>").unwrap()];
    let shown = [
        "✗ ",
        ">failed</strong>",
        ">generator-limited</strong>",
        "deliveries lost: 14",
        "objective broken: p99.9&lt;8ms",
        "ws://10.0.0.11:8080/ws, ws://10.0.0.12:8080/ws (json)",
        "bench-1, 8 cores, Linux 6.12.48",
        "2026-11-21 16:00 UTC",
        "<b>49,500</b><span>deliveries per second</span>",
    ];
    for text in shown {
        assert!(head.contains(text), "{text} is not in\n{head}");
    }
    assert!(page.contains("upgrade refused: 503 &lt;over capacity&gt;"));
    let page = render(&fixture::calm());
    assert!(page.contains(">passed</strong>") && !page.contains("generator-limited<"));
}

#[test]
fn sections_without_figures_are_not_there() {
    let headings = |page: &str| -> Vec<String> {
        page.split("<h2>").skip(1).filter_map(|it| it.split_once("</h2>")).map(|it| it.0.to_owned()).collect()
    };
    let all = ["Objectives", "Latency", "Timeline", "Connecting", "Phases", "Account", "Server", "Generator"];
    assert_eq!(headings(&render(&fixture::storm())), all);
    assert_eq!(headings(&render(&fixture::nothing())), ["Account"]);
}

#[test]
fn a_page_is_small() {
    let page = render(&fixture::storm());
    assert!(page.len() < 200_000, "{} bytes", page.len());
}

#[test]
fn dates_are_utc() {
    assert_eq!(date(0), "1970-01-01 00:00 UTC");
    assert_eq!(date(u64::MAX), "");
}
