//! Reading a TOML document section by section, with the line of everything, and all problems kept rather than the first.
//!
//! Knows no key of scenarios. Scalars are handed on as text, so that 20, "20" and "20s" are read by the same function as in
//! flags; whoever reads them says what it expects.

use std::{collections::BTreeMap, fmt};

use ::toml::de::{DeTable, DeValue};

use super::{
    check::{At, Flaw},
    units::Expected,
};

/// Names that are further apart than this are not what was meant.
const LIKENESS_MIN: f64 = 0.6;

/// Keys under which the relations of roles and of phases to each other are told.
const RELATIONS: [&str; 2] = ["role", "phase"];

/// Something wrong with a scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Problem {
    /// From 1; `None` when it is in no file.
    pub(crate) line: Option<usize>,
    /// Where and what: `role "talker": share is …`.
    pub(crate) text: String,
}

/// Everything wrong with one scenario, in the order of its lines: a line of text each.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) struct Problems {
    /// The file, or whatever the scenario comes from.
    pub(crate) origin: String,
    pub(crate) all: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { line, text }) in self.all.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            match line {
                Some(line) => write!(f, "{separator}{}:{line}: {text}", self.origin)?,
                None => write!(f, "{separator}{}: {text}", self.origin)?,
            }
        }
        Ok(())
    }
}

/// A document under reading.
pub(super) struct Document<'t> {
    text: &'t str,
    problems: Vec<Problem>,
    /// Where each key stands that was asked for, and whether it was wrong.
    places: BTreeMap<(At, String), (usize, bool)>,
}

/// A table of it.
#[derive(Clone)]
pub(super) struct Section<'d> {
    pub(super) at: At,
    /// As people are told: `role "talker": `.
    label: String,
    /// Of keys of tables inside the section: `publish.`.
    prefix: &'static str,
    table: &'d DeTable<'d>,
    line: usize,
}

impl<'t> Document<'t> {
    /// Reads the syntax of `text`, then everything else with `read`. After an error of syntax nothing else is looked
    /// at: it would mean little.
    pub(super) fn read<T>(
        text: &'t str,
        read: impl FnOnce(&mut Self, &Section<'_>) -> T,
    ) -> Result<T, Vec<Problem>> {
        let mut document = Self { text, problems: Vec::new(), places: BTreeMap::new() };
        let (table, errors) = DeTable::parse_recoverable(text);
        let section =
            Section { at: At::Top, label: String::new(), prefix: "", table: table.get_ref(), line: 1 };
        // Only the first one: the others are mostly its echo.
        if let Some(error) = errors.iter().min_by_key(|error| error.span().map_or(0, |span| span.start)) {
            let line = document.line_of(error.span().map_or(0, |span| span.start));
            document.problem(line, error.message().to_owned());
            return Err(document.problems);
        }
        let value = read(&mut document, &section);
        document.problems.sort_by_key(|problem| problem.line);
        if document.problems.is_empty() { Ok(value) } else { Err(document.problems) }
    }

    /// Names the keys that there are.
    pub(super) fn allow(&mut self, section: &Section<'_>, allowed: &[&str]) {
        for key in section.table.keys() {
            let name: &str = key.get_ref();
            if allowed.contains(&name) {
                continue;
            }
            let line = self.line_of(key.span().start);
            let hint = match nearest(name, allowed) {
                Some(near) => {
                    // That it is missing need not be said too.
                    self.places.insert((section.at, format!("{}{near}", section.prefix)), (line, true));
                    format!("did you mean \"{near}\"?")
                }
                None => format!("there are: {}", allowed.join(", ")),
            };
            self.problem(
                line,
                format!("{}there is no key \"{}{name}\"; {hint}", section.label, section.prefix),
            );
        }
    }

    /// The value under `key`, if it is there.
    pub(super) fn optional<T>(
        &mut self,
        section: &Section<'_>,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let value = self.find(section, key)?;
        let Some(text) = scalar(value) else {
            self.wrong(section, key, &format!("must be {}", expected(&read)));
            return None;
        };
        match read(&text) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.wrong(section, key, &format!("is {text:?}; it must be {expected}"));
                None
            }
        }
    }

    /// The value under `key`, which must be there.
    pub(super) fn required<T>(
        &mut self,
        section: &Section<'_>,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        if self.find(section, key).is_none() {
            let place = self.places.get(&(section.at, format!("{}{key}", section.prefix)));
            if place.is_some_and(|(_, wrong)| *wrong) {
                return None;
            }
            self.wrong(section, key, &format!("is missing; it must be {}", expected(&read)));
            return None;
        }
        self.optional(section, key, read)
    }

    /// The table under `key`, if there is one.
    pub(super) fn table<'d>(&mut self, section: &Section<'d>, key: &'static str) -> Option<Section<'d>> {
        match self.find(section, key)? {
            DeValue::Table(table) => {
                let line = self.line(section.at, key).unwrap_or(section.line);
                Some(Section { table, line, ..section.clone() })
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {
                self.wrong(section, key, "must be a table");
                None
            }
        }
    }

    /// The tables under `key`, as `[[key]]` writes them; each is told by its name, or else by its number.
    pub(super) fn tables<'d>(
        &mut self,
        section: &Section<'d>,
        key: &'static str,
        at: fn(usize) -> At,
    ) -> Vec<Section<'d>> {
        let Some(value) = self.find(section, key) else { return Vec::new() };
        let DeValue::Array(items) = value else {
            self.wrong(section, key, &format!("must be written as [[{key}]], once for each"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let DeValue::Table(table) = item.get_ref() else {
                self.wrong(section, key, &format!("must be written as [[{key}]], once for each"));
                continue;
            };
            let name = table.get("name").and_then(|name| name.get_ref().as_str());
            let label = match name {
                Some(name) => format!("{key} {name:?}: "),
                None => format!("{key} {}: ", index + 1),
            };
            let line = self.line_of(item.span().start);
            sections.push(Section { at: at(index), label, prefix: "", table, line });
        }
        sections
    }

    /// Notes that the value under `key` is wrong: `what` reads on after it.
    pub(super) fn wrong(&mut self, section: &Section<'_>, key: &str, what: &str) {
        let key = format!("{}{key}", section.prefix);
        let place = self.places.entry((section.at, key.clone())).or_insert((section.line, false));
        place.1 = true;
        let line = place.0;
        self.problem(line, format!("{}{key} {what}", section.label));
    }

    /// Adds what checking the scenario found, but for what may follow from things that could not be read.
    pub(super) fn add_flaws(&mut self, flaws: Vec<Flaw>, labels: &BTreeMap<At, (String, usize)>) {
        let unread = !self.problems.is_empty();
        for Flaw { at, key, what } in flaws {
            let place = self.places.get(&(at, key.to_owned())).copied();
            if place.is_some_and(|(_, wrong)| wrong) || (unread && RELATIONS.contains(&key)) {
                continue;
            }
            let (label, line) = labels.get(&at).cloned().unwrap_or_default();
            let line = place.map_or(line.max(1), |(line, _)| line);
            self.problem(line, format!("{label}{key} {what}"));
        }
    }

    fn find<'d>(&mut self, section: &Section<'d>, key: &'static str) -> Option<&'d DeValue<'d>> {
        let (name, value) = section.table.get_key_value(key)?;
        let line = self.line_of(name.span().start);
        self.places.entry((section.at, format!("{}{key}", section.prefix))).or_insert((line, false));
        Some(value.get_ref())
    }

    fn problem(&mut self, line: usize, text: String) {
        self.problems.push(Problem { line: Some(line), text });
    }

    fn line(&self, at: At, key: &str) -> Option<usize> {
        self.places.get(&(at, key.to_owned())).map(|(line, _)| *line)
    }

    /// The line of a byte; the first is 1.
    fn line_of(&self, byte: usize) -> usize {
        1 + memchr::memchr_iter(b'\n', &self.text.as_bytes()[..byte.min(self.text.len())]).count()
    }
}

impl<'d> Section<'d> {
    /// The same for a table inside it, of which the keys are shown with `prefix`.
    pub(super) fn inside(self, prefix: &'static str) -> Self {
        Self { prefix, ..self }
    }

    /// The same as another part of the scenario.
    pub(super) fn of(self, at: At) -> Self {
        Self { at, ..self }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(super) fn label(&self) -> (String, usize) {
        (self.label.clone(), self.line)
    }

    /// Keys and values that are scalars, in the order of the file: those of a table with free keys.
    pub(super) fn scalars(&self) -> impl Iterator<Item = (String, Option<String>)> + use<'_> {
        let mut rows: Vec<_> = self.table.iter().collect();
        rows.sort_by_key(|(name, _)| name.span().start);
        rows.into_iter().map(|(name, value)| (name.get_ref().to_string(), scalar(value.get_ref())))
    }

    /// Whether the value under `key` is a table.
    pub(super) fn is_table(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| value.get_ref().is_table())
    }
}

/// The name that someone may have meant.
pub(crate) fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    let scored = known.iter().map(|known| (strsim::normalized_damerau_levenshtein(name, known), *known));
    let near = scored.filter(|(score, _)| *score >= LIKENESS_MIN).max_by(|a, b| a.0.total_cmp(&b.0));
    near.map(|(_, known)| known)
}

/// What a reading function says of nothing at all.
fn expected<T>(read: impl Fn(&str) -> Result<T, Expected>) -> Expected {
    read("").err().unwrap_or("a text")
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(integer) if integer.radix() == 10 => Some(integer.as_str().to_owned()),
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|value| value.to_string())
        }
        DeValue::Float(float) => Some(float.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
