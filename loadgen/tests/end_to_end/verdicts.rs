//! SLOs and exit codes, repeated runs and what is made of their results.

use sonic_rs::JsonValueTrait;

use crate::{
    program::{Folder, command, finish, run},
    server::{Damage, Fault, Server, SignIn},
};

#[test]
fn a_broken_slo_is_code_2_with_a_line_and_loss_is_code_1_even_so() {
    let good = Server::start(SignIn::DevToken, Fault::None);
    let lossy = Server::start(SignIn::DevToken, Fault::Deliveries(Damage::Lose));
    // server, SLO, code, how the line begins
    let rows = [
        (&good, "loss==0", 0, "SLO held"),
        (&good, "max<1ns", 2, "SLO BROKEN"),
        (&lossy, "max<1ns", 1, "SLO BROKEN"),
    ];
    for (server, slo, code, begins) in rows {
        let short = ["--warmup", "0", "--duration", "100ms", "--drain-timeout", "100ms"];
        let outcome = run(server, &[&short[..], &["--slo", slo]].concat());
        assert_eq!(outcome.code, code, "{}", outcome.text);
        let told = outcome.text.lines().any(|line| line.starts_with(begins) && line.contains(slo));
        assert!(told, "{slo}: {}", outcome.text);
        let verdict = &outcome.json["slos"][0];
        let expected = (Some(slo), Some(begins == "SLO held"));
        assert_eq!((verdict["slo"].as_str(), verdict["held"].as_bool()), expected);
    }
}

#[test]
fn a_secret_from_standard_input_is_that_of_all_runs() {
    let server = Server::start(SignIn::Secret("a secret of some length".to_owned()), Fault::None);
    let url = server.url();
    let load = ["--conns", "4", "--rate", "100", "--warmup", "0", "--duration", "100ms", "--url", &url];
    let flags = ["--runs", "3", "--secret-file", "-"];
    let ran = finish(command().args(load).args(flags), "a secret of some length\n");
    assert_eq!(ran.code, 0, "{}", ran.text);
    assert_eq!(server.closes(), 3 * 4, "{}", ran.text);
}

#[test]
fn repeated_runs_leave_numbered_results_that_can_be_compared_and_shown() {
    let server = Server::start(SignIn::DevToken, Fault::None);
    let folder = Folder::new("runs");
    let (url, json) = (server.url(), folder.file("x.json"));
    let load = ["--conns", "20", "--rate", "100", "--warmup", "0", "--duration", "100ms", "--url", &url];
    let ran = finish(command().args(load).args(["--runs", "2", "--json", &json]), "");
    assert_eq!(ran.code, 0, "{}", ran.text);
    let results = [folder.file("x-1.json"), folder.file("x-2.json")];

    let compared = finish(command().arg("compare").args(&results), "");
    assert_eq!(compared.code, 0, "{}", compared.text);
    let files = ["x.html", "x.hgrm", "x.hlog"].map(|name| folder.file(name));
    let shown = finish(
        command().args([
            "report",
            &results[0],
            "--html",
            &files[0],
            "--hgrm",
            &files[1],
            "--hlog",
            &files[2],
        ]),
        "",
    );
    assert_eq!(shown.code, 0, "{}", shown.text);
    assert!(
        folder.read("x.html").starts_with("<!doctype html>")
            || folder.read("x.html").starts_with("<!DOCTYPE html>")
    );
    assert!(folder.read("x.hgrm").contains("Percentile"));
    assert!(folder.read("x.hlog").contains("HISTFAAAA"));
}
