//! Results as files: written after a run, read again to be shown or compared.

use std::{
    error::Error,
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use console::Term;

use super::{CompareArgs, ReportArgs, Sides, flags::OutputFlags};
use crate::{
    figures::{compare, files, summary::Summary},
    report::{html, table},
};

/// Of a path: standard output.
const STDOUT: &str = "-";

/// Whether the files have folders to stand in: to be known before a run, not after an hour of it.
pub(super) fn can_be_written(flags: &OutputFlags) -> Result<(), String> {
    let files =
        [("--json", &flags.json), ("--html", &flags.html), ("--hgrm", &flags.hgrm), ("--hlog", &flags.hlog)];
    for (flag, path) in files {
        let Some(path) = path.as_deref().filter(|path| *path != Path::new(STDOUT)) else { continue };
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            Some(_) | None => Path::new("."),
        };
        if path.is_dir() {
            return Err(format!("{flag} {}: it is a folder", path.display()));
        }
        if !folder.is_dir() {
            return Err(format!("{flag} {}: there is no folder {}", path.display(), folder.display()));
        }
    }
    Ok(())
}

/// The table to standard output, the rest where it is wanted; where the JSON goes to standard output, the table goes to
/// standard error. What cannot be written takes nothing else along.
pub(super) fn write(summary: &Summary, flags: &OutputFlags) -> Result<(), Box<dyn Error>> {
    let to_stdout = flags.json.as_deref() == Some(Path::new(STDOUT));
    let table = if to_stdout { show(summary, &Term::stderr()) } else { show(summary, &Term::stdout()) };
    let json = flags.json.as_ref().map_or(Ok(()), |path| write_json(summary, path));
    write_files(summary, flags.html.as_deref(), flags.hgrm.as_deref(), flags.hlog.as_deref())?;
    json?;
    Ok(table?)
}

/// The table, as wide as the terminal lets it be.
fn show(summary: &Summary, mut to: &Term) -> io::Result<()> {
    let width = to.size_checked().map_or(table::WIDTH_MAX, |(_, columns)| columns.into());
    to.write_all(table::render(summary, width).as_bytes())
}

fn write_json(summary: &Summary, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut text = sonic_rs::to_string_pretty(summary)?;
    text.push('\n');
    if path == Path::new(STDOUT) {
        return Ok(io::stdout().lock().write_all(text.as_bytes())?);
    }
    Ok(put(path, text.as_bytes())?)
}

/// `loadgen report`: the table, and files where they are wanted.
pub(super) fn report(args: &ReportArgs) -> Result<(), Box<dyn Error>> {
    let summary = read(&args.result)?;
    show(&summary, &Term::stdout())?;
    write_files(&summary, args.html.as_deref(), args.hgrm.as_deref(), args.hlog.as_deref())
}

/// `loadgen compare`: the table of differences.
pub(super) fn compare(args: &CompareArgs) -> Result<String, Box<dyn Error>> {
    let Some(Sides { before, after }) = args.sides() else {
        return Err("say which results are on which side: loadgen compare BEFORE... vs AFTER...".into());
    };
    let read_all = |paths: Vec<PathBuf>| paths.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>();
    Ok(compare::compare(&read_all(before)?, &read_all(after)?, args.seed).render())
}

fn write_files(
    summary: &Summary,
    html: Option<&Path>,
    hgrm: Option<&Path>,
    hlog: Option<&Path>,
) -> Result<(), Box<dyn Error>> {
    if let Some(path) = html {
        put(path, html::render(summary).as_bytes())?;
    }
    if let Some(path) = hgrm {
        put(path, files::hgrm(&summary.latency.delivery.hdr).as_bytes())?;
    }
    if let Some(path) = hlog {
        let mut log = Vec::new();
        files::write_hlog(summary, &mut log)?;
        put(path, &log)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Summary, Box<dyn Error>> {
    let in_file = |error: &dyn Error| format!("{}: {error}", path.display());
    let mut text = String::new();
    if path == Path::new("-") {
        io::stdin().lock().read_to_string(&mut text)?;
    } else {
        text = fs::read_to_string(path).map_err(|error| in_file(&error))?;
    }
    Ok(Summary::read(&text).map_err(|error| in_file(&error))?)
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, parse};

    #[test]
    fn where_a_file_cannot_stand_is_told_before_the_run() {
        let rows = [
            ("", Ok(())),
            ("--json -", Ok(())),
            ("--json result.json", Ok(())),
            ("--html /", Err("--html /: it is a folder")),
            ("--json /no/such/r.json", Err("--json /no/such/r.json: there is no folder /no/such")),
        ];
        for (line, expected) in rows {
            let Ok(Command::Run(flags)) = parse(format!("loadgen {line}").split_whitespace()) else {
                panic!("{line}");
            };
            assert_eq!(can_be_written(&flags.output), expected.map_err(str::to_owned), "{line}");
        }
    }
}
