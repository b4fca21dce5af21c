//! Plain names of the environment that are for clustering, which this version does not have: a node stands alone whatever
//! they say, and says so.
//!
//! Owns no setting. Invariant: names are said, never values, which may hold passwords.

use super::value::Value;

const CLUSTERING: &str = "CLUSTERING_ENABLED";
const PORT: &str = "REDIS_PORT";

/// Who sets any of them expects that nodes know of each other.
const NAMES: [&str; 5] = ["REDIS_URL", "REDIS_HOST", PORT, "REDIS_PASSWORD", CLUSTERING];

/// What to say where some are set; an empty variable counts as not set.
pub(super) fn warning(environment: &[(String, String)]) -> Option<String> {
    let value_of = |name: &str| {
        let found = environment.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    };
    let wants_none =
        value_of(CLUSTERING).and_then(|value| Value::Untyped(value.into()).as_flag()) == Some(false);
    if wants_none {
        return None;
    }
    // Kubernetes gives every pod `REDIS_PORT=tcp://…` for a service of that name.
    let is_meant = |name: &str, value: &str| name != PORT || !value.starts_with("tcp://");
    let set: Vec<_> =
        NAMES.into_iter().filter(|name| value_of(name).is_some_and(|value| is_meant(name, value))).collect();
    let names = match set.as_slice() {
        [] => return None,
        [name] => format!("{name} is"),
        names => format!("{} are", names.join(", ")),
    };
    Some(format!("{names} set, but this version has no clustering: this node stands alone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_in_vain_is_said_by_name() {
        type Row<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>);
        let rows: &[Row<'_>] = &[
            (&[], None),
            (&[("REDIS_URL", "")], None),
            (&[("RINGWAY_REDIS_SERVICE_HOST", "10.0.0.1")], None),
            (&[("REDIS_PORT", "tcp://10.0.0.1:6379")], None),
            (&[("CLUSTERING_ENABLED", "false")], None),
            (&[("CLUSTERING_ENABLED", "off"), ("REDIS_URL", "redis://h")], None),
            (&[("REDIS_URL", "redis://:hush@h")], Some("REDIS_URL is")),
            (&[("REDIS_URL", "tcp://h:6379")], Some("REDIS_URL is")),
            (&[("REDIS_HOST", "h")], Some("REDIS_HOST is")),
            (&[("REDIS_PORT", "6379")], Some("REDIS_PORT is")),
            (&[("REDIS_PASSWORD", "hush")], Some("REDIS_PASSWORD is")),
            (&[("CLUSTERING_ENABLED", "true")], Some("CLUSTERING_ENABLED is")),
            (&[("CLUSTERING_ENABLED", "perhaps")], Some("CLUSTERING_ENABLED is")),
            (
                &[("CLUSTERING_ENABLED", "1"), ("REDIS_PASSWORD", "hush"), ("REDIS_HOST", "h")],
                Some("REDIS_HOST, REDIS_PASSWORD, CLUSTERING_ENABLED are"),
            ),
        ];
        for (environment, names) in rows {
            let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
            let environment: Vec<_> = environment.iter().map(owned).collect();
            let expected = names.map(|names| {
                format!("{names} set, but this version has no clustering: this node stands alone")
            });
            assert_eq!(warning(&environment), expected);
        }
    }
}
