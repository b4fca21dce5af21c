//! The gauge of open connections by tenant, status and protocol, bounded in tenants: the first [`TENANTS_MAX`] that a
//! shard sees have a row for ever, all later ones share `other`.
//!
//! Rows are never given up: a series that was shown once stays, at 0 if need be.

use super::labels::{Label, Protocol, Status};
use crate::base::TenantName;

/// How many tenants have series of their own.
pub const TENANTS_MAX: usize = 100;

/// The label of all tenants beyond; a tenant that has this name counts among them.
pub(super) const OTHER: &str = "other";

/// The label of connections that have no tenant (yet): no name is empty.
const NO_TENANT: &str = "";

/// `None` until the first connection of the kind; from then on its series stays, at 0 if need be.
type Cells = <Status as Label>::Array<<Protocol as Label>::Array<Option<u64>>>;

/// The open connections of one shard.
#[derive(Clone, Debug)]
pub struct ActiveConnections {
    no_tenant: Cells,
    tenants: Vec<(TenantName, Cells)>,
    other: Cells,
}

impl ActiveConnections {
    /// Counts an open connection.
    pub fn opened(&mut self, tenant: Option<&TenantName>, status: Status, protocol: Protocol) {
        let cell = self.cell(tenant, status, protocol);
        *cell = Some(cell.unwrap_or(0) + 1);
    }

    /// One that was counted so is no more, or something else.
    pub fn closed(&mut self, tenant: Option<&TenantName>, status: Status, protocol: Protocol) {
        let cell = self.cell(tenant, status, protocol);
        debug_assert!(cell.is_some_and(|open| open > 0), "it was counted");
        *cell = cell.map(|open| open.saturating_sub(1));
    }

    fn cell(&mut self, tenant: Option<&TenantName>, status: Status, protocol: Protocol) -> &mut Option<u64> {
        let cells = match tenant {
            None => &mut self.no_tenant,
            Some(tenant) => match self.tenants.iter().position(|(name, _)| name == tenant) {
                Some(row) => &mut self.tenants[row].1,
                None if self.tenants.len() < TENANTS_MAX && tenant.as_str() != OTHER => {
                    &mut self.tenants.push_mut((tenant.clone(), empty())).1
                }
                None => &mut self.other,
            },
        };
        &mut cells.as_mut()[status.index()].as_mut()[protocol.index()]
    }

    /// The tenants that have a row, in the order in which they were first seen.
    pub(super) fn tenants(&self) -> impl Iterator<Item = &str> {
        self.tenants.iter().map(|(name, _)| name.as_str())
    }

    /// Every kind of connection that there is or was: (tenant's label, status, protocol, open now).
    pub fn iter(&self) -> impl Iterator<Item = (&str, Status, Protocol, u64)> {
        let rows = self.tenants.iter().map(|(name, cells)| (name.as_str(), cells));
        let rows = [(NO_TENANT, &self.no_tenant)].into_iter().chain(rows).chain([(OTHER, &self.other)]);
        rows.flat_map(|(tenant, cells)| {
            Status::ALL.iter().flat_map(move |&status| {
                Protocol::ALL.iter().filter_map(move |&protocol| {
                    cells[status.index()][protocol.index()].map(|open| (tenant, status, protocol, open))
                })
            })
        })
    }
}

impl Default for ActiveConnections {
    /// Nothing open; the series of pending connections exist, so that the metric does.
    fn default() -> Self {
        let mut no_tenant = empty();
        no_tenant[Status::Pending.index()] = Protocol::filled(Some(0));
        Self { no_tenant, tenants: Vec::new(), other: empty() }
    }
}

fn empty() -> Cells {
    Status::filled(Protocol::filled(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: usize) -> TenantName {
        TenantName::parse(&format!("tenant-{number}")).unwrap()
    }

    fn open(active: &ActiveConnections, label: &str) -> u64 {
        active.iter().filter(|row| row.0 == label).map(|row| row.3).sum()
    }

    #[test]
    fn tenants_past_the_first_hundred_count_as_other() {
        let mut active = ActiveConnections::default();
        for number in 0..150 {
            active.opened(Some(&tenant(number)), Status::Authenticated, Protocol::Json);
        }
        active.opened(Some(&tenant(99)), Status::Authenticated, Protocol::Json);
        assert_eq!(
            (open(&active, "tenant-99"), open(&active, "tenant-100"), open(&active, OTHER)),
            (2, 0, 50)
        );
        // Rows that fell to zero are not given to others.
        for number in (0..150).chain([99]) {
            active.closed(Some(&tenant(number)), Status::Authenticated, Protocol::Json);
        }
        active.opened(Some(&tenant(120)), Status::Authenticated, Protocol::Json);
        assert_eq!((open(&active, "tenant-99"), open(&active, OTHER)), (0, 1));
        assert_eq!(active.tenants().count(), TENANTS_MAX);
    }

    #[test]
    fn a_tenant_called_other_takes_no_row() {
        let mut active = ActiveConnections::default();
        active.opened(Some(&TenantName::parse("other").unwrap()), Status::Authenticated, Protocol::Json);
        assert_eq!(active.tenants().count(), 0);
        assert_eq!(open(&active, OTHER), 1);
    }

    #[test]
    fn a_kind_seen_once_stays_at_zero() {
        let mut active = ActiveConnections::default();
        assert_eq!(active.iter().count(), Protocol::ALL.len());
        active.opened(None, Status::Authenticated, Protocol::Echo);
        active.closed(None, Status::Authenticated, Protocol::Echo);
        assert!(active.iter().any(|row| row == ("", Status::Authenticated, Protocol::Echo, 0)));
    }
}
