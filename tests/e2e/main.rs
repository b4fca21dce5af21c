//! The gateway as its users meet it: the real binary, real sockets, on both drivers.
//!
//! Every test starts a gateway of its own on a free port and ends it by its process id. Nothing sleeps: reads block
//! with a deadline, conditions are looked at again until they hold. Tests with `driver` as their argument run once
//! for io_uring and once for epoll.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that meets the unexpected is to fail"
)]

/// Makes tests of functions that take a driver: `uring::name`, skipped with a word where the machine has no
/// io_uring, and `epoll::name`.
macro_rules! on_both_drivers {
    ($($test:ident),+ $(,)?) => {
        mod uring {
            $(#[test]
            fn $test() {
                if $crate::support::has_uring(concat!(module_path!(), "::", stringify!($test))) {
                    super::$test(ringway::shell::driver::Driver::Uring);
                }
            })+
        }

        mod epoll {
            $(#[test]
            fn $test() {
                super::$test(ringway::shell::driver::Driver::Epoll);
            })+
        }
    };
}

mod admin;
mod api;
mod churn;
mod command;
mod core_dumps;
mod deflate;
mod descriptors;
mod drain;
mod drivers;
mod first_run;
mod heartbeat;
mod hostile;
mod limits;
mod origin;
mod outside;
mod presence;
mod recovery;
mod relay;
mod reload;
mod requests;
mod resources;
mod rooms;
mod secrets;
mod signing;
mod slow_consumer;
mod support;
mod surface;
mod surface_limits;
mod tokens;
mod total_order;
