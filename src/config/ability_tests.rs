//! Rules and claims from file, environment and flags; every error with its line; and which rule is said to decide.

use super::{
    Question,
    error::ConfigErrors,
    explain,
    load::Loaded,
    report::effective,
    settings::Settings,
    source::Source,
    tests::{World, file_errors},
};

const RULES: &str = "\
[[abilities.rules]]
role = \"*\"
actions = [\"join\", \"history\"]
rooms = [\"dashboard.{user_id}\", \"metrics.{tenant_id}\"]

[[abilities.rules]]
role = \"member\"
actions = [\"join\", \"presence\"]
rooms = [\"project.*\"]

[[abilities.rules]]
role = \"editor\"
actions = [\"*\"]
rooms = [\"project.**\"]
";

fn load(text: &str) -> Result<Loaded, ConfigErrors> {
    World { files: &[("ringway.toml", text)], ..World::default() }.load()
}

#[test]
fn rules_are_shown_as_they_can_be_loaded_again() {
    let one = load(RULES).unwrap();
    let lines: Vec<_> = one.settings.abilities.rules.iter().map(|rule| rule.line).collect();
    assert_eq!(lines, [Some(1), Some(6), Some(11)]);
    let report = effective(&one);
    let shown = "rules = [{ role = \"*\", actions = [\"join\", \"history\"], rooms = [\"dashboard.{user_id}\", \
                 \"metrics.{tenant_id}\"] }, { role = \"member\", actions = [\"join\", \"presence\"], rooms = [\"project.*\"] }, \
                 { role = \"editor\", actions = [\"*\"], rooms = [\"project.**\"] }]";
    assert!(report.contains(shown), "{report}");
    let two = load(&format!("[abilities]\n{shown}\n")).unwrap();
    assert_eq!(one.settings.abilities, two.settings.abilities);
    let none = load("[abilities]\nrules = []\n").unwrap();
    assert!(none.settings.abilities.rules.is_empty(), "nobody may do anything");
}

#[test]
fn without_rules_everything_but_in_production_what_is_ones_own() {
    let rooms = |settings: &Settings| -> Vec<String> {
        let rules = settings.abilities.rules.iter();
        rules.flat_map(|rule| rule.rule.rooms.iter().map(|room| room.as_str().to_owned())).collect()
    };
    assert_eq!(rooms(&Settings::defaults(false)), ["**"]);
    let own = [
        "dashboard.{user_id}",
        "alerts.{user_id}",
        "notifications.{user_id}",
        "metrics.{tenant_id}",
        "system.{tenant_id}",
    ];
    assert_eq!(rooms(&Settings::defaults(true)), own);
}

#[test]
fn what_is_wrong_about_rules() {
    let text = "\
[abilities]
rules = [
  { role = \"\", actions = [], rooms = [] },
  { role = 7, actions = [\"join\", \"fly\"], rooms = \"a\" },
  { roles = [\"a\"], action = [\"join\"], rooms = [\"a\"] },
  { role = \"a\", actions = \"join\", rooms = [
      \"a.**.b.**\",
      \"a.{userid}\",
      7,
      \"{user_id}-*\",
  ] },
  \"member\",
  { role = \"a\", actions = [\"join\"], rooms = [\"a\"], tenants = [\"b\"] },
]
";
    let actions = "must be some of `join`, `send`, `presence`, `history` and `request`, or [\"*\"] for all";
    let rooms =
        "must be a list of patterns of rooms, one at least, like `project.*` or `dashboard.{user_id}`";
    let role = "must be the name of a role, or `*` for whoever has a good token";
    let at = "ringway.toml";
    let expected = [
        format!("{at}:3: abilities.rules[0].actions = []: {actions}"),
        format!("{at}:3: abilities.rules[0].role = \"\": {role}"),
        format!("{at}:3: abilities.rules[0].rooms = []: {rooms}"),
        format!("{at}:4: abilities.rules[1].actions = [\"join\", \"fly\"]: {actions}"),
        format!("{at}:4: abilities.rules[1].role = 7: {role}"),
        format!("{at}:4: abilities.rules[1].rooms = \"a\": {rooms}"),
        format!("{at}:5: abilities.rules[2].action: is no setting; did you mean `actions`?"),
        format!("{at}:5: abilities.rules[2].actions: is missing"),
        format!("{at}:5: abilities.rules[2].role: is missing"),
        format!("{at}:5: abilities.rules[2].roles: is no setting; did you mean `role`?"),
        format!("{at}:6: abilities.rules[3].actions = \"join\": {actions}"),
        format!(
            "{at}:7: abilities.rules[3].rooms[0] = \"a.**.b.**\": `**` stands alone between `.`, `:` or `/`, and once in a \
             pattern"
        ),
        format!(
            "{at}:8: abilities.rules[3].rooms[1] = \"a.{{userid}}\": who asks is `{{user_id}}` and `{{tenant_id}}`; another \
             name in braces is any text, and does not begin with `user` or `tenant`"
        ),
        format!("{at}:9: abilities.rules[3].rooms[2] = 7: must be a pattern of rooms, like `project.*`"),
        format!(
            "{at}:10: abilities.rules[3].rooms[3] = \"{{user_id}}-*\": `{{user_id}}` and `{{tenant_id}}` do not stand in one \
             part with a `*`: it could be the end of another id"
        ),
        format!("{at}:12: abilities.rules[4] = \"member\": must be a table `{{ role, actions, rooms }}`"),
        format!("{at}:13: abilities.rules[5].tenants: is no setting"),
    ];
    let line = |error: &String| error.split(':').nth(1).and_then(|line| line.parse::<u32>().ok());
    let mut errors = file_errors(text);
    errors.sort_by(|one, two| (line(one), one).cmp(&(line(two), two)));
    assert_eq!(errors, expected);

    let only_the_file = World { set: &[("abilities.rules", "*")], ..World::default() }.errors();
    assert_eq!(
        only_the_file,
        [
            "flag --set: abilities.rules = \"*\": must be a list of tables `{ role, actions, rooms }` in the configuration \
          file, 1000 at most"
        ]
    );
}

#[test]
fn claims_have_a_section_inside_auth() {
    let text = "[auth]\nleeway_s = 1\n\n[auth.claims]\nuser = \"uid\"\ntenant = [\"org\"]\nroles = \"https://x.org/roles\"\n";
    let environment = [("RINGWAY_AUTH__CLAIMS__ABILITIES", "can")];
    let set = [("auth.claims.name", "nick")];
    let files = [("ringway.toml", text)];
    let loaded =
        World { files: &files, environment: &environment, set: &set, ..World::default() }.load().unwrap();
    let claims = &loaded.settings.auth.claims;
    let texts = [&claims.user, &claims.tenant[0], &claims.roles, &claims.abilities, &claims.name];
    assert_eq!(texts, ["uid", "org", "https://x.org/roles", "can", "nick"]);
    assert_eq!((claims.tenant.len(), loaded.settings.auth.leeway_s), (1, 1));
    assert_eq!(*loaded.source("auth.claims.user"), Source::File { path: "ringway.toml".into(), line: 5 });
    assert!(effective(&loaded).contains("\n[auth.claims]\nuser = \"uid\" "), "{}", effective(&loaded));

    let inline = load("[auth]\nclaims = { user = \"uid\" }\n").unwrap();
    assert_eq!(inline.settings.auth.claims.user, "uid");
    let wrong = "[auth]\nclaims.rolls = 1\n[auth.claims.user]\nx = 1\n[auth.claim]\nuser = \"a\"\n";
    let expected = [
        "ringway.toml:2: auth.claims.rolls: is no setting; did you mean `auth.claims.roles`?",
        "ringway.toml:3: auth.claims.user = {…}: must be the name of a claim",
        "ringway.toml:5: auth.claim: is no setting",
    ];
    assert_eq!(file_errors(wrong), expected);
    let expected = [
        "ringway.toml:2: auth.claims = 7: must be a section",
        "flag --set: auth.claims.roles = \"\": must be the name of a claim",
    ];
    let files = [("ringway.toml", "[auth]\nclaims = 7\n")];
    let errors = World { files: &files, set: &[("auth.claims.roles", "")], ..World::default() }.errors();
    assert_eq!(errors, expected);
}

fn asked(text: &str, question: &str) -> (String, bool) {
    let pairs: Vec<String> = question.split(' ').map(str::to_owned).collect();
    explain(&load(text).unwrap(), &Question::parse(&pairs).unwrap())
}

#[test]
fn explanations() {
    let project = "{ role = \"member\", actions = [\"join\", \"presence\"], rooms = [\"project.*\"] }";
    let editor = "{ role = \"editor\", actions = [\"*\"], rooms = [\"project.**\"] }";
    let rows = [
        (
            "user=ada tenant=acme roles=guest,member action=join room=project.7",
            true,
            format!(
                "user ada of tenant acme, roles guest, member, may join project.7\n  by abilities.rules[1] \
                 (ringway.toml:6): {project}\n"
            ),
        ),
        (
            "user=ada action=send room=project.7",
            false,
            format!(
                "user ada of tenant default, no roles, may not send to project.7\n  no rule and no ability of the token \
                 allows it\n  for another role and other actions: abilities.rules[1] (ringway.toml:6): {project}\n  for \
                 another role: abilities.rules[2] (ringway.toml:11): {editor}\n"
            ),
        ),
        (
            "room=project.7 abilities=send:project.*,x:y action=send user=ada",
            true,
            "user ada of tenant default, no roles, may send to project.7\n  by the token's ability send:project.*\n  as a \
             member: it has to be in the room\n"
                .into(),
        ),
        (
            "user=ada action=join room=elsewhere",
            false,
            "user ada of tenant default, no roles, may not join elsewhere\n  no rule and no ability of the token allows \
             it\n"
            .into(),
        ),
    ];
    for (question, is_allowed, expected) in rows {
        assert_eq!(asked(RULES, question), (expected, is_allowed), "{question}");
    }
    let (text, is_allowed) = asked("", "user=ada action=request room=user:bob");
    assert!(is_allowed && text.contains("abilities.rules[0] (default): "), "{text}");
}

#[test]
fn questions_that_are_none() {
    let rows = [
        ("user", "user: write key=value"),
        ("user=", "user: a name must not be empty"),
        ("user=a action=fly room=b", "action: fly is none of join, send, presence, history, request"),
        ("user=a action=join", "room is missing: "),
        ("action=join room=b", "user is missing: "),
        ("user=a room=b", "action is missing: "),
        ("who=a", "who is none of user, tenant, roles, abilities, action and room"),
    ];
    for (question, expected) in rows {
        let pairs: Vec<String> = question.split(' ').map(str::to_owned).collect();
        let error = Question::parse(&pairs).unwrap_err();
        assert!(error.starts_with(expected), "{question}: {error}");
    }
}
