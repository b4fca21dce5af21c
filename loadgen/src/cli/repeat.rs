//! Runs again and again: to show how they differ by chance, or to find the highest load that keeps the SLOs.

use std::{
    error::Error,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    flags::{OutputFlags, RunFlags},
    resolve::{self, ScenarioError},
    results,
    start::run_once,
};
use crate::{
    EXIT_NO_RUN,
    figures::summary::Summary,
    host::open_files::OpenFilesError,
    report::{
        live::{Kind, Live},
        note::note,
    },
    run::OrderError,
    scenario::{Scenario, scale::rate_per_s},
    slo::{
        judge::{exit_code, exit_rank},
        search::{Found, Knob, Next, Rules, Search, Trial},
    },
};

/// Nothing above is tried.
const CONNS_MAX: f64 = 4e6;
const RATE_MAX: f64 = 1e8;

/// `--runs`: the same again, with numbered files; gives the worst exit code (1, then 2, then 3).
pub(super) fn runs(flags: &RunFlags, interrupted: &AtomicBool) -> Result<u8, Box<dyn Error>> {
    let mut worst = 0;
    for number in 1..=flags.verdict.runs {
        if interrupted.load(Ordering::Relaxed) {
            // Fewer runs than were asked for.
            worst = worse(worst, EXIT_NO_RUN);
            break;
        }
        note(&format!("run {number} of {}", flags.verdict.runs));
        let live = Live::new(Kind::find(flags.output.quiet, flags.output.plain));
        let summary = run_once(flags, interrupted, live)?;
        results::write(&summary, &numbered(&flags.output, number))?;
        worst = worse(worst, exit_code(&summary));
    }
    Ok(worst)
}

fn worse(one: u8, other: u8) -> u8 {
    if exit_rank(other) > exit_rank(one) { other } else { one }
}

/// `--find-max`: gives 0 when some load keeps the SLOs, 2 when none does.
pub(super) fn find_max(flags: &RunFlags, knob: Knob, interrupted: &AtomicBool) -> Result<u8, Box<dyn Error>> {
    let scenario = resolve::scenario(flags, 0)?;
    let rules = match knob {
        Knob::Rate => Rules::new(knob, rate_of(&scenario)?, RATE_MAX),
        Knob::Conns => Rules::new(knob, scenario.connections.into(), CONNS_MAX),
    };
    let mut search = Search::new(rules);
    let mut told = 0;
    // What was learnt by then is not lost.
    let give_up = |search: &Search, error: Box<dyn Error>| {
        if flags.output.quiet {
            search.tried().iter().for_each(|tried| note(&search.tell(tried)));
        }
        Err(error)
    };
    let mut carried_out = 0;
    let found = loop {
        let load = match search.next() {
            Next::Done(found) => break found,
            Next::Run(load) => load,
        };
        let mut scaled = flags.clone();
        match knob {
            Knob::Rate => scaled.messages.rate = Some(load),
            Knob::Conns => scaled.load.conns = Some(load as u32),
        }
        let live = Live::new(Kind::find(flags.output.quiet, flags.output.plain));
        let (trial, told_of) = match run_once(&scaled, interrupted, live) {
            _ if interrupted.load(Ordering::Relaxed) => {
                return give_up(&search, "interrupted: nothing was found".into());
            }
            Ok(summary) => {
                carried_out += 1;
                let limited = !summary.generator.limited.is_empty();
                (Trial { held: summary.passed, limited }, outcome(&summary, knob, load))
            }
            // Of the load that was asked for this is an error; of more than that, the end of what the generator can do.
            Err(error) if carried_out > 0 && does_not_fit(&*error) => {
                (Trial { held: false, limited: true }, format!("{}: {error}", knob.show(load)))
            }
            Err(error) => return give_up(&search, error),
        };
        search.observe(trial);
        if !flags.output.quiet {
            note(&told_of);
            for tried in &search.tried()[told..] {
                note(&search.tell(tried));
            }
        }
        told = search.tried().len();
    };
    show(&found, flags.output.json.as_deref())?;
    Ok(if found.load.is_some() { 0 } else { 2 })
}

/// Whether a run of another size could have been carried out.
fn does_not_fit(error: &(dyn Error + 'static)) -> bool {
    let too_large = |error: &OrderError| match error {
        OrderError::Plan(_) | OrderError::TooManyThreads { .. } => true,
        OrderError::Agent(error) => error.is_refusal(),
        OrderError::NothingToWaitFor | OrderError::Run(_) => false,
    };
    error.is::<OpenFilesError>()
        || error.is::<ScenarioError>()
        || error.downcast_ref::<OrderError>().is_some_and(too_large)
}

/// What the publishers of a scenario send together.
fn rate_of(scenario: &Scenario) -> Result<f64, String> {
    let rate = rate_per_s(scenario);
    if rate > 0.0 { Ok(rate) } else { Err("--find-max rate: nobody publishes in this scenario".to_owned()) }
}

fn outcome(summary: &Summary, knob: Knob, load: f64) -> String {
    let what = knob.show(load);
    let broken =
        summary.slos.iter().filter(|slo| !slo.held).map(|slo| format!("{} ({})", slo.slo, slo.shown));
    let wrong: Vec<String> = summary.problems.iter().cloned().chain(broken).collect();
    if wrong.is_empty() { format!("{what}: held") } else { format!("{what}: {}", wrong.join(", ")) }
}

fn show(found: &Found, json: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let text: String = found.tell().iter().map(|line| format!("{line}\n")).collect();
    match json {
        None => io::stdout().lock().write_all(text.as_bytes())?,
        Some(path) => {
            let mut found = sonic_rs::to_string_pretty(found)?;
            found.push('\n');
            if path == Path::new("-") {
                io::stderr().lock().write_all(text.as_bytes())?;
                io::stdout().lock().write_all(found.as_bytes())?;
            } else {
                io::stdout().lock().write_all(text.as_bytes())?;
                std::fs::write(path, found).map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
    }
    Ok(())
}

/// `result.json` becomes `result-2.json`; standard output stays what it is.
fn numbered(output: &OutputFlags, number: u32) -> OutputFlags {
    let each = |path: &Option<PathBuf>| {
        path.as_ref().map(|path| {
            if path == Path::new("-") {
                return path.clone();
            }
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let extension = path.extension().map(|it| format!(".{}", it.to_string_lossy()));
            path.with_file_name(format!("{stem}-{number}{}", extension.unwrap_or_default()))
        })
    };
    OutputFlags {
        json: each(&output.json),
        html: each(&output.html),
        hgrm: each(&output.hgrm),
        hlog: each(&output.hlog),
        ..output.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_repeated_runs_are_numbered() {
        let flags = super::super::parsed("--json out/a.b.json --html page --hgrm -");
        let output = numbered(&flags.output, 3);
        assert_eq!(output.json, Some("out/a.b-3.json".into()));
        assert_eq!(output.html, Some("page-3".into()));
        assert_eq!(output.hgrm, Some("-".into()));
        assert_eq!(output.hlog, None);
    }

    #[test]
    fn what_does_not_fit_is_told_from_what_fails() {
        let threads = resolve::scenario(&super::super::parsed("--conns 2 --threads 3"), 1).unwrap_err();
        let files = OpenFilesError::TooFew { conns: 9, needed: 50, hard: 20, fitting: 1 };
        let order = OrderError::TooManyThreads { threads: 4 };
        let too_large: [Box<dyn Error>; 3] = [threads.into(), files.into(), order.into()];
        assert!(too_large.iter().all(|error| does_not_fit(&**error)));
        let others: [Box<dyn Error>; 2] = [OrderError::NothingToWaitFor.into(), "no such file".into()];
        assert!(!others.iter().any(|error| does_not_fit(&**error)));
    }

    #[test]
    fn the_worst_run_decides() {
        let rows = [([0, 0], 0), ([0, 3], 3), ([3, 2], 2), ([1, 2], 1), ([1, 3], 1)];
        for ([one, other], expected) in rows {
            assert_eq!((worse(one, other), worse(other, one)), (expected, expected));
        }
    }

    #[test]
    fn the_search_begins_at_what_the_scenario_sends() {
        // flags, messages per second
        let rows = [("", 500.0), ("--rate 70", 70.0), ("--mode echo", 1_000.0)];
        for (flags, rate) in rows {
            let scenario = resolve::scenario(&super::super::parsed(flags), 1).unwrap();
            assert_eq!(rate_of(&scenario), Ok(rate), "{flags}");
        }
        let idle = resolve::scenario(&super::super::parsed("--mode idle"), 1).unwrap();
        assert!(rate_of(&idle).is_err());
    }
}
