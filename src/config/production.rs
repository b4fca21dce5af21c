//! What production refuses to start with, each with its reason: what is fine on a desk and not on the Internet.
//!
//! Secrets and keys are judged with the other rules (`rules`), since they have a rule outside production, too. There is
//! no setting for `/dev/token`: it needs a secret that nobody configured, and production refuses to be without one.

use super::settings::Settings;

/// Calls `refuse` with key, value and reason for each.
pub(super) fn refusals(settings: &Settings, refuse: &mut dyn FnMut(&str, Option<String>, String)) {
    if !settings.server.tls_terminated_by_proxy {
        let reason = "in production this must be true: the gateway itself speaks no TLS, and without it everybody on \
                      the way can read tokens and messages. Put a proxy before it that ends TLS, and say so here";
        refuse("server.tls_terminated_by_proxy", Some("false".into()), reason.into());
    }
    if settings.metrics.open && settings.admin.listen.is_none() {
        let reason = "in production /metrics is not for every client: it names tenants and shows what they do. Set \
                      metrics.bearer or admin.listen, or let the scraper show an API key with the scope `admin`";
        refuse("metrics.open", Some("true".into()), reason.into());
    }
}
