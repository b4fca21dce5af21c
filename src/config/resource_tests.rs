//! Rooms that stand for resources, as they are configured: every error with its line, what is shown and hidden, and who is said
//! to decide.

use super::{
    Question, assemble, explain,
    load::Loaded,
    report::effective,
    tests::{World, file_errors},
};
use crate::{auth::abilities::Who, model::Action};

const RULES: &str = "\
[resources]
base_url = \"https://app.example.com/\"

[[resources.rules]]
room = \"task:{id}\"
url = \"/api/tasks/{id}\"

[[resources.rules]]
room = \"task:{id}\"
url = \"https://other.example.com/{id}?key=horse&as={user_id}\"
actions = [\"send\"]

[[resources.rules]]
room = \"note:{id}\"
url = \"/notes/{id}\"
actions = [\"*\"]
";

fn load(text: &str) -> Loaded {
    World { files: &[("ringway.toml", text)], ..World::default() }.load().unwrap()
}

#[test]
fn rules_come_to_urls() {
    let loaded = load(RULES);
    let lines: Vec<_> = loaded.settings.resources.rules.iter().map(|rule| rule.line).collect();
    assert_eq!(lines, [Some(4), Some(8), Some(13)]);
    let resources = assemble::resources(&loaded.settings.resources, 4).unwrap();
    assert_eq!(resources.limits.in_flight_max, 16, "shared out");
    let who = Who { user: "ada", tenant: "acme" };
    let url = |room, action| resources.find(room, action, who).map(|(_, found)| found.unwrap().url);
    let rows = [
        ("task:7", Action::Join, Some("https://app.example.com/api/tasks/7")),
        ("task:7", Action::History, Some("https://app.example.com/api/tasks/7")),
        ("task:7", Action::Send, Some("https://other.example.com/7?key=horse&as=ada")),
        ("note:7", Action::Send, Some("https://app.example.com/notes/7")),
        ("note:7", Action::Request, None),
        ("lobby", Action::Join, None),
    ];
    for (room, action, expected) in rows {
        assert_eq!(url(room, action).as_deref(), expected, "{room} {action:?}");
    }
    assert_eq!(assemble::resources(&load("").settings.resources, 1), None, "without rules nobody is asked");
    let report = effective(&loaded);
    let shown =
        "{ room = \"task:{id}\", url = \"https://other.example.com/{id}?***\", actions = [\"send\"] }";
    assert!(report.contains(shown) && !report.contains("horse"), "{report}");
    let reading = "url = \"/api/tasks/{id}\", actions = [\"join\", \"presence\", \"history\"]";
    assert!(report.contains(reading), "{report}");
}

#[test]
fn what_is_wrong_about_rules() {
    let text = "\
[resources]
rules = [
  { room = \"task:{id}\", url = \"/tasks/{ids}\" },
  { room = \"task:{userid}\", url = \"tasks/{id}\" },
  { rooms = \"a\", url = \"http://user:horse@host/\" },
  { room = 7, url = 7, actions = [\"fly\"] },
  { room = \"a\", url = \"//host/\", actions = [\"request\"] },
  { room = \"a:{id}\", url = \"http://{id}.example.com/?key=horse\" },
  \"a\",
]
";
    let url = "must be a path behind resources.base_url, like `/api/tasks/{id}`, or a whole URL, http or https, without user, \
               password and fragment";
    let at = "ringway.toml";
    let expected = [
        format!(
            "{at}:3: resources.rules[0].url = \"/tasks/{{ids}}\": what is in braces does not stand in braces in `room`, nor \
             is it `user_id` or `tenant_id`"
        ),
        format!(
            "{at}:4: resources.rules[1].room = \"task:{{userid}}\": who asks is `{{user_id}}` and `{{tenant_id}}`; another \
             name in braces is any text, and does not begin with `user` or `tenant`"
        ),
        format!("{at}:4: resources.rules[1].url: {url}"),
        format!("{at}:5: resources.rules[2].room: is missing"),
        format!("{at}:5: resources.rules[2].rooms: is no setting; did you mean `room`?"),
        format!("{at}:5: resources.rules[2].url: {url}"),
        format!(
            "{at}:6: resources.rules[3].actions = [\"fly\"]: must be some of `join`, `send`, `presence` and `history`, or \
             [\"*\"] for all of these"
        ),
        format!("{at}:6: resources.rules[3].room = 7: must be a pattern of rooms, like `task:{{id}}`"),
        format!("{at}:6: resources.rules[3].url = 7: {url}"),
        format!(
            "{at}:7: resources.rules[4].actions = [\"request\"]: must be some of `join`, `send`, `presence` and `history`, \
             or [\"*\"] for all of these"
        ),
        format!("{at}:7: resources.rules[4].url: {url}"),
        format!(
            "{at}:8: resources.rules[5].url = \"http://{{id}}.example.com/?***\": which server is asked cannot come from a \
             room's name: braces stand in the path or behind it"
        ),
        format!("{at}:9: resources.rules[6] = \"a\": must be a table `{{ room, url, actions }}`"),
    ];
    let line = |error: &String| error.split(':').nth(1).and_then(|line| line.parse::<u32>().ok());
    let mut errors = file_errors(text);
    errors.sort_by(|one, two| (line(one), one).cmp(&(line(two), two)));
    assert_eq!(errors, expected);
}

#[test]
fn what_must_hold_between_settings() {
    let path = "[[resources.rules]]\nroom = \"a\"\nurl = \"/a\"\n";
    let errors = file_errors(path);
    let reason = "is a path: resources.base_url must say of which server";
    assert_eq!(errors, [format!("ringway.toml:1: resources.rules[0].url = \"/a\": {reason}")]);
    let files = [("ringway.toml", path)];
    let with_base =
        |base| World { files: &files, set: &[("resources.base_url", base)], ..World::default() }.load();
    assert!(with_base("http://app/x").is_ok());
    for base in ["http://app/?x", "http://app/../x"] {
        assert!(with_base(base).is_err(), "{base}");
    }
    let secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let environment = [("NODE_ENV", "production"), ("JWT_SECRET", secret)];
    let tls = ("server.tls_terminated_by_proxy", "true");
    let in_production = |set: &[(&str, &str)]| {
        let loaded = World { files: &files, environment: &environment, set, ..World::default() }.load();
        loaded.err().map(|errors| errors.to_string()).unwrap_or_default()
    };
    let plain = ("resources.base_url", "http://app");
    assert_eq!(
        in_production(&[tls, plain]),
        "the configuration is wrong: ringway.toml:1: resources.rules[0].url = \"/a\": production wants https: who can read \
         along on the way could read every token (outside.plaintext = true states that nobody can)"
    );
    assert_eq!(in_production(&[tls, plain, ("outside.plaintext", "true")]), "");
    assert_eq!(in_production(&[tls, ("resources.base_url", "https://app")]), "");
    assert_eq!(in_production(&[tls, ("resources.base_url", "http://127.0.0.1:8000")]), "");
}

#[test]
fn who_decides_is_said() {
    let loaded = load(RULES);
    let asked = |question: &str| {
        let pairs: Vec<String> = question.split(' ').map(str::to_owned).collect();
        explain(&loaded, &Question::parse(&pairs).unwrap())
    };
    let (text, may) = asked("user=ada tenant=acme action=send room=task:7");
    let expected = "user ada of tenant acme may send to task:7 if the backend lets it\n  by resources.rules[1] \
                    (ringway.toml:8): { room = \"task:{id}\", url = \"https://other.example.com/{id}?***\", actions = \
                    [\"send\"] }\n  GET https://other.example.com/7?*** with the user's token: 2xx is yes, 401, 403 and 404 \
                    are no\n  as a member: it has to be in the room\n";
    assert_eq!((text.as_str(), may), (expected, true));
    let (text, may) = asked("user=ada action=join room=note:");
    assert!(!may && text.contains("makes no URL: it is `not_found`"), "{text}");
    let (text, may) = asked("user=ada action=join room=lobby");
    assert!(may && text.contains("by abilities.rules[0]"), "{text}");
}
