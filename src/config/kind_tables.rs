//! Lists of tables: how one is read field by field, so that each thing wrong has its own error and line; and what lists of rules
//! have in common. What the fields mean, and how an entry is shown, is for the kinds to say.
//!
//! Only the file can hold such a list, as `[[key]]` or as an array of inline tables.

use super::{
    error::Problem,
    kind::{At, Context, Kind, Part, Refused, unknown_field},
    settings::Settings,
    value::{Located, Value},
};

/// An entry of a list while its table is read.
pub(super) trait Draft: Default {
    const FIELDS: &'static [&'static str];
    /// Fields without which it is none.
    const REQUIRED: &'static [&'static str];
    /// Whether what stands in a table's place may be a secret: it is not repeated.
    const IS_SECRET: bool = false;

    /// Takes a field, or has `wrong` say why not; `false` if there is no such field.
    fn take(&mut self, field: &str, found: &Located, wrong: &mut Wrong<'_>) -> bool;
}

/// What is wrong with one entry.
pub(super) struct Wrong<'a> {
    /// Its place in the list, from 0.
    index: usize,
    parts: &'a mut Vec<Part>,
    /// How many of these are of entries before it.
    of_others: usize,
}

impl<'a> Wrong<'a> {
    pub(super) fn new(index: usize, parts: &'a mut Vec<Part>) -> Self {
        let of_others = parts.len();
        Self { index, parts, of_others }
    }

    /// Whether nothing is.
    pub(super) fn is_nothing(&self) -> bool {
        self.parts.len() == self.of_others
    }

    /// Says what is wrong with a field, or, where `field` is empty, with the entry; a `value` is shown.
    pub(super) fn refuse(&mut self, line: usize, field: &str, value: Option<&Value>, problem: Problem) {
        let index = self.index;
        let suffix = if field.is_empty() { format!("[{index}]") } else { format!("[{index}].{field}") };
        self.parts.push(Part { line, suffix, value: value.map(Value::show), problem });
    }

    /// Passes on what a field was read as, or says what may stand there.
    pub(super) fn taken<T>(
        &mut self,
        read: Option<T>,
        field: &str,
        found: &Located,
        allowed: &str,
    ) -> Option<T> {
        if read.is_none() {
            self.refuse(found.line, field, Some(&found.value), Problem::NotAllowed(allowed.into()));
        }
        read
    }
}

/// Reads an entry; `None` if it is no table. A field that is missing or was refused is one that the draft does not have, and
/// `wrong` has said so.
pub(super) fn read<D: Draft>(item: &Located, wrong: &mut Wrong<'_>) -> Option<D> {
    let Value::Table(fields) = &item.value else {
        let shown = (!D::IS_SECRET).then_some(&item.value);
        wrong.refuse(item.line, "", shown, Problem::NotAllowed(format!("a table {}", spelled::<D>())));
        return None;
    };
    let mut draft = D::default();
    for (field, found) in fields {
        if !draft.take(field, found, wrong) {
            wrong.refuse(found.line, field, None, unknown_field(field, D::FIELDS));
        }
    }
    for field in D::REQUIRED {
        if fields.iter().all(|(name, _)| name != field) {
            wrong.refuse(item.line, field, None, Problem::Rule("is missing".into()));
        }
    }
    Some(draft)
}

/// What a list may be, to follow "must be".
pub(super) fn allowed<D: Draft>() -> String {
    format!("a list of tables {} in the configuration file", spelled::<D>())
}

fn spelled<D: Draft>() -> String {
    format!("`{{ {} }}`", D::FIELDS.join(", "))
}

/// How many rules a list may have.
const RULES_MAX: usize = 1_000;

/// A rule while its table is read.
pub(super) trait RuleDraft: Draft {
    type Rule: PartialEq;

    /// The rule that begins in `line`; `None` when something was wrong, which `wrong` has been told.
    fn finish(self, line: usize, wrong: &mut Wrong<'_>) -> Option<Self::Rule>;

    /// A rule as TOML, without what may be a secret in it.
    fn show(rule: &Self::Rule) -> String;
}

/// A list of rules.
pub(super) struct Rules<D: RuleDraft>(pub(super) At<Vec<D::Rule>>);

impl<D: RuleDraft> Kind for Rules<D> {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        let Value::List(items) = value else { return Err(Refused::Value) };
        if items.len() > RULES_MAX {
            return Err(Refused::Value);
        }
        let (mut rules, mut parts) = (Vec::with_capacity(items.len()), Vec::new());
        for (index, item) in items.iter().enumerate() {
            let mut wrong = Wrong::new(index, &mut parts);
            let draft = read::<D>(item, &mut wrong);
            rules.extend(draft.and_then(|draft| draft.finish(item.line, &mut wrong)));
        }
        if !parts.is_empty() {
            return Err(Refused::Parts(parts));
        }
        *(self.0)(settings) = rules;
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        let rules: Vec<_> = (self.0)(settings).iter().map(D::show).collect();
        Some(format!("[{}]", rules.join(", ")))
    }

    fn allowed(&self) -> String {
        format!("{}, {RULES_MAX} at most", allowed::<D>())
    }

    fn is_same(&self, one: &mut Settings, other: &mut Settings) -> bool {
        (self.0)(one) == (self.0)(other)
    }
}
