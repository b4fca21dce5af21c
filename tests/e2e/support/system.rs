//! The kernel's interfaces that `std` does not have: signals to a child, whose this process
//! is, and a child without io_uring.
//! The one file of these tests where `unsafe` may stand.

#![allow(unsafe_code)]

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Child, Command},
};

/// Sends a signal (`libc::SIGTERM` and the like) to a child that has not been waited for.
pub(crate) fn signal(child: &Child, signal: i32) {
    let pid = i32::try_from(child.id()).expect("a process id is positive and fits");
    // SAFETY: kill takes two integers and no pointer; the child was not waited for, so its id is still its own.
    let result = unsafe { libc::kill(pid, signal) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// Whose this process is.
pub(crate) fn user() -> u32 {
    // SAFETY: it takes nothing, changes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// A system call number is the first word of what a seccomp filter looks at.
const NUMBER_AT: u32 = 0;

/// Lets `command` start its program under a seccomp filter that answers `io_uring_setup` with `EPERM`, as container
/// runtimes have one.
pub(crate) fn refuse_io_uring(command: &mut Command) {
    let statement = |code: u32, value| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k: value };
    let filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, NUMBER_AT),
        libc::sock_filter {
            code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
            jt: 0,
            jf: 1,
            k: libc::SYS_io_uring_setup as u32,
        },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let mut filter = filter;
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        let program: *const libc::sock_fprog = &program;
        // SAFETY: both calls read their arguments only; `program` points to `filter`, and both live until the end of
        // this closure. The kernel keeps a copy.
        let refused = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
                || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, program) != 0
        };
        if refused { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: between fork and exec the closure makes two system calls and touches its own stack only: it takes no
    // lock and allocates nothing.
    unsafe { command.pre_exec(install) };
}
