//! One run by many processes on many machines: a coordinator leads, agents carry it out.

mod clock_sync;
mod seal;
