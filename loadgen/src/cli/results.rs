//! Results as files: written after a run, read again to be shown or compared.

use std::{
    error::Error,
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::{CompareArgs, ReportArgs, Sides, flags::OutputFlags};
use crate::{
    figures::{compare, files, summary::Summary},
    report::{html, table},
};

/// The table to standard output, the rest where it is wanted; where the JSON goes to standard output, the table goes to
/// standard error.
pub(super) fn write(summary: &Summary, table: &str, flags: &OutputFlags) -> Result<(), Box<dyn Error>> {
    let stdout = Path::new("-");
    if flags.json.as_deref() == Some(stdout) {
        io::stderr().lock().write_all(table.as_bytes())?;
    } else {
        io::stdout().lock().write_all(table.as_bytes())?;
    }
    if let Some(path) = &flags.json {
        let mut text = sonic_rs::to_string_pretty(summary)?;
        text.push('\n');
        if path == stdout {
            io::stdout().lock().write_all(text.as_bytes())?;
        } else {
            put(path, text.as_bytes())?;
        }
    }
    write_files(summary, flags.html.as_deref(), flags.hgrm.as_deref(), flags.hlog.as_deref())
}

/// `loadgen report`: the table, and files where they are wanted.
pub(super) fn report(args: &ReportArgs) -> Result<(), Box<dyn Error>> {
    let summary = read(&args.result)?;
    io::stdout().lock().write_all(table::render(&summary).as_bytes())?;
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
