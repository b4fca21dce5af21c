//! A server that forgets members which come back: that they hear nothing is found, and with a faithful server nobody is suspected.

use std::process::Child;

use crate::{
    program::{Folder, assert_clean, command, loadgen, outcome, scenario},
    server::{Fault, Server, SignIn},
};

/// Half of the connections return at once, and then there is publishing for long enough to know.
const PHASES: &str = r#"
[[phase]]
name = "steady"
kind = "steady"
duration = "200ms"

[[phase]]
name = "storm"
kind = "storm"
cut = "50 %"
rate = "at once"
duration = "4s"
"#;

#[test]
fn members_that_a_server_forgot_are_counted() {
    let folder = Folder::new("silent");
    let file = folder.put("silence.toml", &scenario("", PHASES));
    for (fault, forgotten) in [(Fault::Forget, 10), (Fault::None, 0)] {
        let server = Server::start(SignIn::DevToken, fault);
        let url = format!("{}/ws", server.url());
        let outcome = loadgen(&["--scenario", &file, "--url", &url], "");
        assert_eq!(server.faults(), forgotten, "{}", outcome.text);
        assert_eq!(outcome.number("deliveries", "silent"), forgotten, "{}", outcome.text);
        if forgotten == 0 {
            assert_clean(&outcome);
            continue;
        }
        assert_eq!(outcome.code, 1, "{}", outcome.text);
        assert_eq!(outcome.problems(), ["memberships that came later and heard nothing: 10"]);
        assert_eq!(outcome.number("deliveries", "lost"), 0, "{}", outcome.text);
    }
}

#[test]
fn no_ready_made_scenario_suspects_a_faithful_server() {
    let presets = ["10k", "chat", "dashboard", "devices", "e2ee-relay", "reconnect-storm", "deploy", "soak"];
    let start = |name: &str| -> Child {
        // Each has rooms of its own. All speak JSON here, which the server knows. Rooms keep their size; rates are such that all of them hear something.
        let server = Server::start(SignIn::DevToken, Fault::None);
        let url = format!("{}/ws", server.url());
        let flags = ["run", "--protocol", "json", "--conns", "60", "--rate", "60", "--warmup", "200ms"];
        let more = ["--duration", "5s", "--url", &url, "--json", "-", "--scenario", name];
        command().args(flags).args(more).spawn().unwrap()
    };
    let running: Vec<(&str, Child)> = presets.iter().map(|name| (*name, start(name))).collect();
    for (name, child) in running {
        let outcome = outcome(child);
        let wrong = ["silent", "lost"].map(|count| outcome.number("deliveries", count));
        assert_eq!(wrong, [0, 0], "{name}: {}", outcome.text);
        assert!(outcome.number("deliveries", "delivered") > 0, "{name}: {}", outcome.text);
    }
}
