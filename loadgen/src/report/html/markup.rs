//! HTML as text: escaping, and tables. What comes from outside (names, reasons of servers) passes [`escape`] here and nowhere else.

use std::fmt::{Display, Write};

/// Text as it may stand between tags and in quoted attributes. Control characters become a visible sign.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A table that can be scrolled sideways where it is too wide. Figures stand to the right.
#[derive(Debug)]
pub(crate) struct Table {
    caption: String,
    columns: Vec<Column>,
    body: String,
    rows: usize,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    title: &'static str,
    is_figure: bool,
}

/// What stands in a cell.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Cell {
    Text(String),
    /// There is nothing to show.
    Nothing,
    Good(String),
    Bad(String),
    Doubtful(String),
}

impl Table {
    /// Titles of columns of figures begin with `#`. The first column names the row.
    pub(crate) fn new(caption: impl Display, titles: &[&'static str]) -> Self {
        let column = |title: &&'static str| match title.strip_prefix('#') {
            Some(title) => Column { title, is_figure: true },
            None => Column { title, is_figure: false },
        };
        Self {
            caption: caption.to_string(),
            columns: titles.iter().map(column).collect(),
            body: String::new(),
            rows: 0,
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows += 1;
        self.body.push_str("<tr>");
        for (index, (cell, column)) in cells.iter().zip(&self.columns).enumerate() {
            let (class, text) = match cell {
                Cell::Text(text) => ("", text.as_str()),
                Cell::Nothing => ("none", "–"),
                Cell::Good(text) => ("good", text.as_str()),
                Cell::Bad(text) => ("bad", text.as_str()),
                Cell::Doubtful(text) => ("doubtful", text.as_str()),
            };
            let classes = [class, if column.is_figure { "figure" } else { "" }];
            let classes: Vec<&str> = classes.into_iter().filter(|it| !it.is_empty()).collect();
            let tag = if index == 0 { "th scope=\"row\"" } else { "td" };
            let _ = write!(self.body, "<{tag}");
            if !classes.is_empty() {
                let _ = write!(self.body, " class=\"{}\"", classes.join(" "));
            }
            let _ = write!(self.body, ">{}</{}>", escape(text), &tag[..2]);
        }
        self.body.push_str("</tr>\n");
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// All of it; nothing for a table without rows.
    pub(crate) fn html(&self) -> String {
        if self.is_empty() {
            return String::new();
        }
        let caption = escape(&self.caption);
        let mut out = format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table>\n<caption>{caption}</caption>\n<thead><tr>"
        );
        for Column { title, is_figure } in &self.columns {
            let class = if *is_figure { " class=\"figure\"" } else { "" };
            let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", escape(title));
        }
        let _ = write!(out, "</tr></thead>\n<tbody>\n{}</tbody></table></div>\n", self.body);
        out
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let hostile = "</title><script>alert(\"1\")</script>&'\u{1b}[31m\0";
        let safe =
            "&lt;/title&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;\u{fffd}[31m\u{fffd}";
        assert_eq!(escape(hostile), safe);
    }

    #[test]
    fn tables_have_headers_for_rows_and_columns() {
        let mut table = Table::new("Streams", &["room", "#lost"]);
        assert_eq!(table.html(), "");
        table.row(vec!["<a>".into(), Cell::Bad("3".to_owned())]);
        let expected = "\
<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Streams\"><table>
<caption>Streams</caption>
<thead><tr><th scope=\"col\">room</th><th scope=\"col\" class=\"figure\">lost</th></tr></thead>
<tbody>
<tr><th scope=\"row\">&lt;a&gt;</th><td class=\"bad figure\">3</td></tr>
</tbody></table></div>
";
        assert_eq!(table.html(), expected);
    }
}
