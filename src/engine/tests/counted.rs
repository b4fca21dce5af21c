//! A check for whenever a node has come to rest: what is counted as it happens is what a count of all connections makes.

use std::collections::BTreeMap;

use crate::{
    engine::{Engine, census},
    metrics::{CounterVec, Label, QualityClass},
};

/// The gauges of connections.
pub(super) fn assert_counted(engine: &Engine) {
    let (mut active, mut quality) = (BTreeMap::new(), CounterVec::default());
    for (_, _, conn) in engine.conns.iter() {
        if let Some((status, protocol)) = census::kind(conn) {
            let tenant = conn.session().map_or("", |session| session.tenant.as_str());
            *active.entry((tenant, status.as_str(), protocol.as_str())).or_insert(0) += 1;
        }
        if let Some(class) = census::class_of(conn, &engine.config.quality) {
            quality.inc(class);
        }
    }
    let counted = engine.metrics.active.iter().filter(|(.., open)| *open > 0);
    let counted =
        counted.map(|(tenant, status, protocol, open)| ((tenant, status.as_str(), protocol.as_str()), open));
    assert_eq!(counted.collect::<BTreeMap<_, _>>(), active, "{:?}", engine.shard);
    for class in QualityClass::ALL {
        assert_eq!(engine.metrics.quality.get(*class), quality.get(*class), "{:?} {class:?}", engine.shard);
    }
}
