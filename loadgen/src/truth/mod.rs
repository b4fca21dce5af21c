//! What was sent against what arrived. Pure: knows no socket, no clock and no protocol.
//!
//! A payload says who sent it, which one it is and when it was due; a ledger keeps what has arrived; the audit balances it
//! against what was sent.

pub(crate) mod audit;
pub(crate) mod ledger;
pub(crate) mod payload;
pub(crate) mod seq_set;
