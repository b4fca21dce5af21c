//! The search against servers that break at some load, more or less clearly.

use super::*;

/// Holds with a probability that falls around `capacity`; `noise` is the width of that in proportion. Above `generator` the
/// generator is limited, and the run fails.
struct Server {
    capacity: f64,
    noise: f64,
    generator: f64,
    rng: fastrand::Rng,
}

impl Server {
    fn new(capacity: f64, noise: f64, seed: u64) -> Self {
        Self { capacity, noise, generator: f64::INFINITY, rng: fastrand::Rng::with_seed(seed) }
    }

    fn run(&mut self, load: f64) -> Trial {
        let limited = load > self.generator;
        let distance = (load / self.capacity).ln() / self.noise.max(1e-9);
        let held = !limited && self.rng.f64() > 1.0 / (1.0 + (-distance).exp());
        Trial { held, limited }
    }
}

fn search(rules: Rules, server: &mut Server) -> Found {
    let mut search = Search::new(rules);
    for _ in 0..=RUNS_MAX {
        match search.next() {
            Next::Run(load) => {
                assert!(load > 0.0 && load <= rules.max, "{load}");
                search.observe(server.run(load));
            }
            Next::Done(found) => return found,
        }
    }
    panic!("more than {RUNS_MAX} runs");
}

fn rules(knob: Knob) -> Rules {
    Rules::new(knob, 100.0, 1e6)
}

#[test]
fn a_clear_limit_is_found_to_the_precision() {
    for capacity in [30.0, 100.5, 128.0, 777.0, 12_345.0, 900_000.0] {
        for knob in [Knob::Rate, Knob::Conns] {
            let found = search(rules(knob), &mut Server::new(capacity, 0.0, 1));
            let load = found.load.unwrap_or_else(|| panic!("{capacity}: {found:?}"));
            assert!(load <= capacity && load * 1.06 >= capacity, "{load} for {capacity}");
            assert_eq!(found.end, End::Target);
            assert!(found.tried.iter().all(|tried| knob == Knob::Rate || tried.load.fract() == 0.0));
        }
    }
}

#[test]
fn a_noisy_limit_is_found_nearby_from_every_seed() {
    let mut near = 0;
    for seed in 0..300 {
        let found = search(rules(Knob::Rate), &mut Server::new(5_000.0, 0.05, seed));
        let load = found.load.unwrap_or_else(|| panic!("seed {seed}: {found:?}"));
        assert!((3_500.0..=5_500.0).contains(&load), "seed {seed}: {load}");
        near += u32::from((4_250.0..=5_150.0).contains(&load));
        let last = found.tried.last().unwrap();
        assert!(last.confirming && last.runs == 5 && last.held >= 4, "seed {seed}: {last:?}");
        assert!(found.runs() < 70, "seed {seed}: {} runs", found.runs());
    }
    assert!(near >= 270, "{near} of 300");
}

#[test]
fn what_the_generator_cannot_do_is_not_the_targets_limit() {
    let mut server = Server { generator: 3_000.0, ..Server::new(50_000.0, 0.0, 1) };
    let found = search(rules(Knob::Rate), &mut server);
    assert_eq!(found.end, End::Generator);
    assert!(found.load.is_some_and(|load| (2_800.0..=3_000.0).contains(&load)), "{found:?}");
    assert!(
        found.tell()[0].contains("at least") && found.tell()[2].contains("generator"),
        "{:?}",
        found.tell()
    );

    // Limited, but it held: good enough for the load, and none of the generator's doing.
    let mut search = Search::new(rules(Knob::Rate));
    (0..2).for_each(|_| search.observe(Trial { held: true, limited: true }));
    assert!(matches!(search.next(), Next::Run(load) if load == 200.0), "doubled");
    search.observe(Trial { held: true, limited: true });
    (0..2).for_each(|_| search.observe(Trial { held: false, limited: false }));
    assert_eq!(search.tried().iter().map(|tried| tried.limited).collect::<Vec<_>>(), [0, 0]);
    assert!(!search.by_generator, "the target failed");

    // The target breaks below the generator's limit: that one counts.
    let mut server = Server { generator: 1_500.0, ..Server::new(1_200.0, 0.0, 1) };
    assert_eq!(search_end(&mut server), End::Target);
}

fn search_end(server: &mut Server) -> End {
    search(rules(Knob::Rate), server).end
}

#[test]
fn both_ends_of_the_scale_are_ends() {
    let found = search(rules(Knob::Rate), &mut Server::new(1e12, 0.0, 1));
    assert_eq!((found.load, found.end), (Some(1e6), End::Max));
    let found = search(Rules::new(Knob::Conns, 5e6, 1e6), &mut Server::new(1e12, 0.0, 1));
    assert_eq!((found.load, found.end), (Some(1e6), End::Max), "nothing above is tried");
    let found = search(rules(Knob::Conns), &mut Server::new(1e-9, 0.0, 1));
    assert_eq!((found.load, found.end, found.holds_at_least), (None, End::Nothing, 0.0));
    assert!(found.tried.len() <= DOWN_MAX as usize + 1);
    assert_eq!(found.tell(), ["Nothing found: the SLOs do not even hold at 1 connections."]);
}

#[test]
fn a_load_is_decided_by_most_and_as_early_as_can_be() {
    let mut search = Search::new(rules(Knob::Rate));
    let run = |held| Trial { held, limited: false };
    search.observe(run(true));
    assert_eq!(search.next(), Next::Run(100.0));
    search.observe(run(true));
    assert_eq!(search.next(), Next::Run(200.0), "two of three suffice");
    search.observe(run(false));
    search.observe(run(true));
    assert_eq!(search.next(), Next::Run(200.0), "one against one");
    search.observe(run(false));
    assert!(matches!(search.next(), Next::Run(load) if load < 200.0 && load > 100.0));
    assert_eq!(search.tell(&search.tried()[1]), "200 messages/s: held in 1 of 3 runs");
}

#[test]
fn what_does_not_repeat_is_given_up_and_lowered() {
    // Everything holds while it searches, and nothing while it confirms.
    let mut search = Search::new(Rules { max: 400.0, ..rules(Knob::Rate) });
    let mut loads = Vec::new();
    while let Next::Run(load) = search.next() {
        let confirming = search.now.confirming;
        loads.extend(confirming.then_some(load));
        search.observe(Trial { held: !confirming, limited: false });
    }
    assert!(loads.windows(2).all(|pair| pair[1] <= pair[0]));
    let Next::Done(found) = search.next() else { panic!("not done") };
    assert_eq!((found.load, found.end), (None, End::Unsteady));
    assert!(found.tell()[0].contains("contradict"), "{:?}", found.tell());
}

#[test]
fn each_further_confirmation_says_less() {
    // The first load to be confirmed fails twice, and so many after it.
    let bound = |failing: u32| {
        let mut search = Search::new(Rules { max: 400.0, ..rules(Knob::Rate) });
        let mut left = failing * 2;
        while let Next::Run(_) = search.next() {
            let fails = search.now.confirming && left > 0;
            left -= u32::from(fails);
            search.observe(Trial { held: !fails, limited: false });
        }
        let Next::Done(found) = search.next() else { panic!("not done") };
        found.holds_at_least
    };
    let rows = [(0, 0.975), (1, 0.9875), (4, 1.0 - 0.05 / 32.0)];
    for (failing, confidence) in rows {
        assert!((bound(failing) - interval::at_least(5, 5, confidence)).abs() < 1e-9, "{failing}");
    }
}

#[test]
fn the_statement_is_true_as_often_as_it_says() {
    // What a load holds in is known: a share that falls from load to load, and is never as good as what may be claimed.
    let (mut wrong, trials) = (0, 4_000);
    for seed in 0..trials {
        let mut server = Server::new(1_000.0, 0.2, seed);
        let found = search(rules(Knob::Rate), &mut server);
        let Some(load) = found.load else { continue };
        let truth = 1.0 - 1.0 / (1.0 + (-(load / server.capacity).ln() / server.noise).exp());
        wrong += u64::from(truth < found.holds_at_least);
    }
    assert!(wrong as f64 <= trials as f64 * (1.0 - CONFIDENCE), "{wrong} of {trials}");
}

#[test]
fn the_result_is_told_in_plain_words() {
    let found = search(rules(Knob::Rate), &mut Server::new(1_000.0, 0.0, 1));
    assert_eq!(
        found.tell(),
        [
            "Highest load that keeps the SLOs: 993 messages/s.",
            "Held in 5 of 5 runs there: with 95 % confidence it holds in at least 48 % of such runs.",
            "It did not hold at 1,037 messages/s, 4 % higher."
        ]
    );
}
