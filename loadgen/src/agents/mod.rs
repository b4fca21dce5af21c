//! One run by many processes on many machines: a coordinator leads, agents carry it out with threads of theirs.
//!
//! What the coordinator tells its crew goes to each agent, which tells its threads; what they report comes back. All of them keep
//! the run's time ([`clock_sync`]). Ledgers stay where they are: everybody is told what was published, and balances his own.
//! Neither tokens nor what signs them travel: each agent has its own.

pub(crate) mod agent;
mod clock_sync;
pub(crate) mod link;
pub(crate) mod message;
mod seal;
