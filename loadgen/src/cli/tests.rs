//! What is read from command lines, and what their help looks like.

use super::*;
use crate::scenario::{Arrivals, Protocol, Size};

use modes::Mode;

fn command_of(line: &str) -> Result<Command, clap::Error> {
    parse(format!("loadgen {line}").split_whitespace())
}

/// The help of a command, as it is printed.
fn help(line: &str) -> String {
    command_of(line).unwrap_err().to_string()
}

#[test]
fn the_command_is_sound() {
    command().debug_assert();
}

#[test]
fn flags_are_those_of_run_with_or_without_its_name() {
    for prefix in ["", "run "] {
        let line = format!(
            "{prefix}--mode churn --conns 50 --rooms 2 --connect-rate 10/s --churn-rate 5 --seed 3 --rate 30/min \
             --publishers 4 --payload 64..128 --arrivals poisson --closed --duration 2m --warmup 0 --drain-timeout 5s \
             --url ws://a/ --url ws://b/ --protocol socketio-polling --insecure --key-file k.pem --alg EdDSA --kid 1 \
             --tenant t --slo p99<5ms --slo loss==0 --find-max conns --pid 1 --pid 2 --threads 2 \
             --source 10.0.0.1,10.0.0.3 --source 10.0.1.1 --json r.json --plain"
        );
        let Ok(Command::Run(it)) = command_of(&line) else { panic!("{prefix}") };
        let load = &it.load;
        assert_eq!((load.mode, load.conns, load.rooms), (Some(Mode::Churn), Some(50), Some(2)));
        assert_eq!((load.connect_rate, load.churn_rate, load.seed), (Some(10.0), Some(5.0), Some(3)));
        let messages = &it.messages;
        assert_eq!((messages.rate, messages.publishers, messages.closed), (Some(0.5), Some(4), true));
        assert_eq!(messages.payload, Some(Size::Uniform(64, 128)));
        assert_eq!(messages.arrivals, Some(Arrivals::Poisson));
        assert_eq!(it.target.url, ["ws://a/", "ws://b/"]);
        assert_eq!((it.target.protocol, it.target.terms.insecure), (Some(Protocol::SocketIoPolling), true));
        assert_eq!((it.tokens.alg.as_deref(), it.tokens.kid.as_deref()), (Some("EdDSA"), Some("1")));
        assert_eq!(it.verdict.slo, ["p99<5ms", "loss==0"]);
        assert_eq!((it.verdict.find_max, it.verdict.runs), (Some(crate::slo::search::Knob::Conns), 1));
        assert_eq!((it.server.pid.as_slice(), it.machines.threads), (&[1, 2][..], 2));
        assert_eq!(it.machines.sources().len(), 3);
        assert!(it.output.plain && !it.output.quiet);
    }
}

#[test]
fn flags_of_others_and_of_files_are_those_of_run_too() {
    let it = parsed("--agents a:1,b:2 --agent-secret-file s --html r.html --hgrm r.hgrm --hlog r.hlog");
    assert_eq!(it.machines.agents, ["a:1", "b:2"]);
    assert!(it.output.html.is_some() && it.output.hgrm.is_some() && it.output.hlog.is_some());
}

#[test]
fn secrets_are_not_printed() {
    let rows = [
        "--secret s3cret --url ws://a/?token=s3cret --url ws://u:s3cret@a/",
        "--token s3cret --app-secret s3cret",
        "agent --token s3cret --app-secret s3cret",
        "agent --secret s3cret",
    ];
    for line in rows {
        let shown = format!("{:?}", command_of(line).unwrap());
        assert!(!shown.contains("s3cret") && shown.contains("***"), "{line}: {shown}");
    }
    let it = parsed("--secret a");
    assert_eq!(it.tokens.secret.as_ref().map(flags::Secret::reveal), Some("a"));
    assert_eq!(it.target.terms.app_secret.reveal(), crate::protocol::pusher::DEFAULT_SECRET);
}

#[test]
fn a_later_flag_wins_and_lists_grow() {
    let it = parsed("--conns 5 --conns 6 --slo a --slo b");
    assert_eq!((it.load.conns, it.verdict.slo.len()), (Some(6), 2));
}

#[test]
fn what_does_not_go_together_is_refused() {
    let rows = [
        ("--scenario chat --mode echo", "cannot be used with"),
        ("--scenario chat --publishers 3", "cannot be used with"),
        ("--token a --secret b", "cannot be used with"),
        ("--token a --key-file b", "cannot be used with"),
        ("--pid 1 --metrics http://a/metrics", "cannot be used with"),
        ("--insecure --ca-file a", "cannot be used with"),
        ("--quiet --plain", "cannot be used with"),
        ("--find-max rate", "--slo"),
        ("--slo p99<5ms --find-max rate --runs 3", "cannot be used with"),
        ("--slo p99<5ms --find-max rate --html a", "cannot be used with"),
        ("--slo p99<5ms --find-max rate --hlog a", "cannot be used with"),
        ("--agents a:1 --threads 2", "cannot be used with"),
        ("--agents a:1 --source 127.0.0.1", "cannot be used with"),
        ("--agents a:1 --insecure", "cannot be used with"),
        ("--agents a:1 --secret-file a", "cannot be used with"),
        ("--agents a:1 --app-secret a", "cannot be used with"),
        ("--runs 0", "1..=100"),
        ("--duration 5d", "it must be a time such as 500ms, 20s, 2m or 1h"),
        ("--payload big", "it must be bytes such as 128"),
        ("--protocol mqtt", "socketio-polling"),
        ("--source here", "it must be IP addresses"),
        ("--agents nowhere", "it must be HOST:PORT"),
        ("--frobnicate", "unexpected argument"),
        ("compare a.json", "2"),
        ("scenarios check", "FILE"),
    ];
    for (line, expected) in rows {
        let said = help(line);
        assert!(said.contains(expected), "{line}: {said}");
    }
}

#[test]
fn subcommands() {
    assert!(matches!(command_of("scenarios"), Ok(Command::Scenarios(ScenariosArgs { command: None }))));
    let Ok(Command::Scenarios(ScenariosArgs { command: Some(ScenariosCommand::Show { name }) })) =
        command_of("scenarios show chat")
    else {
        panic!()
    };
    assert_eq!(name, "chat");
    let Ok(Command::Limits(limits)) = command_of("limits --conns 500") else { panic!() };
    assert_eq!((limits.conns, limits.threads), (500, 1));
    let Ok(Command::Report(report)) = command_of("report r.json --html r.html") else { panic!() };
    assert_eq!((report.result.to_str(), report.html.is_some()), (Some("r.json"), true));
    let Ok(Command::Agent(agent)) = command_of("agent") else { panic!() };
    assert_eq!(agent.listen, "127.0.0.1:7070");
}

#[test]
fn a_comparison_has_two_sides() {
    let sides = |line: &str| {
        let Ok(Command::Compare(args)) = command_of(&format!("compare {line}")) else { panic!("{line}") };
        let names = |paths: Vec<PathBuf>| {
            paths.iter().map(|it| it.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        args.sides().map(|Sides { before, after }| (names(before), names(after)))
    };
    let rows = [
        ("a b", Some(("a", "b"))),
        ("a1 a2 vs b1", Some(("a1 a2", "b1"))),
        ("a vs b", Some(("a", "b"))),
        ("a b c", None),
        ("vs a", None),
        ("a vs", None),
        ("a vs b vs c", None),
    ];
    for (line, expected) in rows {
        let expected = expected.map(|(before, after): (&str, &str)| (before.to_owned(), after.to_owned()));
        assert_eq!(sides(line), expected, "{line}");
    }
}

#[test]
fn every_help_fits_100_columns_and_that_of_the_program_one_screen() {
    for line in [
        "--help",
        "run --help",
        "scenarios --help",
        "limits --help",
        "report --help",
        "compare --help",
        "agent -h",
    ] {
        let text = help(line);
        for row in text.lines() {
            assert!(row.chars().count() <= 100, "{line}: {row}");
        }
    }
    let text = help("-h");
    assert!(text.lines().count() <= 72, "{}", text.lines().count());
    assert!(text.contains("--find-max") && !text.contains("--drain-timeout"), "only what is most used");
    assert!(help("run -h").contains("--drain-timeout"));
}

#[test]
fn what_is_most_used_is_there() {
    let command = Cli::command();
    for id in help::MOST_USED {
        assert!(id == "version" || command.get_arguments().any(|arg| arg.get_id() == id), "{id}");
    }
}
