//! The configuration as text: the commented default file, and what is in effect with each value's source.
//! Both are TOML that can be loaded again, but for secrets, which are never shown.

use std::fmt::Write;

use super::{
    load::Loaded,
    settings::Settings,
    table::{self, SECTIONS, Setting},
};

const HEAD: &str = "\
# Ringway's configuration: every setting with its default.
#
# Stronger than this file: environment variables, RINGWAY_ and the path in capitals with __ between
# (RINGWAY_SERVER__PORT=9000), and the plain names given below; strongest: flags (--set server.port=9000).
# `ringway config check` shows what is in effect, and where each value comes from.
";

const WIDTH: usize = 100;

/// The commented default file. Settings whose default depends on something stand there as comments.
pub fn default_file() -> String {
    let mut defaults = Settings::defaults(false);
    let mut text = HEAD.to_owned();
    for (section, doc) in SECTIONS {
        text.push('\n');
        comment(&mut text, doc);
        put(&mut text, format_args!("[{section}]\n"));
        for setting in of_section(section) {
            text.push('\n');
            describe(&mut text, setting);
            let (_, name) = setting.section_and_name();
            match (setting.example, setting.kind.show(&mut defaults)) {
                (Some(example), _) => put(&mut text, format_args!("# {name} = {example}\n")),
                (None, Some(value)) => put(&mut text, format_args!("{name} = {value}\n")),
                (None, None) => put(&mut text, format_args!("# {name} =\n")),
            }
        }
    }
    text
}

/// The plain environment names, each with the key that it sets and what that does.
pub fn plain_names() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    table::settings()
        .flat_map(|setting| setting.plain_names.iter().map(|name| (*name, setting.key, setting.doc)))
}

/// The configuration in effect, a line per setting with its source, secrets masked.
pub fn effective(loaded: &Loaded) -> String {
    const COLUMN_MAX: usize = 48;
    let line = |(setting, value, source): (&Setting, Option<String>, _)| {
        let (section, name) = setting.section_and_name();
        let line = match value {
            Some(value) => format!("{name} = {value}"),
            None => format!("# {name} is not set"),
        };
        (section, line, source)
    };
    let lines: Vec<_> = loaded.rows().into_iter().map(line).collect();
    let widths = lines.iter().map(|(_, line, _)| line.chars().count()).filter(|width| *width <= COLUMN_MAX);
    let column = widths.max().unwrap_or(0);
    let mut text = String::new();
    let mut current = "";
    for (section, line, source) in lines {
        if section != current {
            let gap = if current.is_empty() { "" } else { "\n" };
            put(&mut text, format_args!("{gap}[{section}]\n"));
            current = section;
        }
        put(&mut text, format_args!("{line:column$}  # {source}\n"));
    }
    text
}

fn of_section(section: &str) -> impl Iterator<Item = &'static Setting> {
    table::settings().filter(move |setting| setting.section_and_name().0 == section)
}

fn describe(text: &mut String, setting: &Setting) {
    let names = match setting.plain_names {
        [] => String::new(),
        names => format!(" Environment: {}.", names.join(", ")),
    };
    comment(text, setting.doc);
    let live = if setting.is_live { " SIGHUP applies it." } else { "" };
    comment(text, &format!("Must be {}.{live}{names}", setting.kind.allowed()));
}

/// A comment, wrapped.
fn comment(text: &mut String, words: &str) {
    let mut width = 0;
    for word in words.split_whitespace() {
        if width == 0 || width + 1 + word.len() > WIDTH {
            text.push_str(if width == 0 { "#" } else { "\n#" });
            width = 1;
        }
        put(text, format_args!(" {word}"));
        width += 1 + word.len();
    }
    text.push('\n');
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a String takes what is written to it");
}
