//! Out of descriptors, forbidden system calls, leaks: each in a process of its own, since limits, filters and
//! descriptor numbers belong to the whole process. A test starts this binary again with only itself to run.
#![allow(unsafe_code)]

use std::{env, fs, io::Write, os::fd::AsRawFd, process::Command};

use super::*;

on_both_drivers!(
    churn_leaks_no_descriptor,
    out_of_descriptors_clients_are_turned_away,
    accepting_rests_if_need_be,
    a_door_that_rests_closes_behind_those_who_wait
);

/// In the parent, runs the test `name` of this module again in a child, and checks that it passed. True in the child.
fn is_child(name: &str, environment: &[(&str, &str)]) -> bool {
    const MARK: &str = "RINGWAY_TEST_CHILD";
    if env::var(MARK).is_ok_and(|child| child == name) {
        return true;
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg(format!("{}::{name}", module_path!().split_once("::").unwrap().1))
        .env(MARK, name)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && text.contains("1 passed");
    assert!(passed, "{:?}\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    false
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Lowers or raises the open-file limit; gives the former one back.
fn set_descriptors_max(max: u64) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a pointer to one valid structure.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        let former = std::mem::replace(&mut limit.rlim_cur, max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
        former
    }
}

fn churn_leaks_no_descriptor(driver: Driver) {
    if !is_child(&format!("{driver}::churn_leaks_no_descriptor"), &[]) {
        return;
    }
    let server = Server::start(driver, Script::default());
    let mut first = server.connect();
    first.write_all(b"a").unwrap();
    read_exactly(&mut first, 1);
    let before = descriptors();
    for _ in 0..5 {
        let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
        for (seed, client) in clients.iter_mut().enumerate() {
            client.write_all(&pattern(seed, 64)).unwrap();
        }
        for (seed, mut client) in clients.into_iter().enumerate() {
            if seed % 4 == 3 {
                continue;
            }
            assert_eq!(read_exactly(&mut client, 64), pattern(seed, 64));
            if seed % 4 == 2 {
                client.write_all(&[CLOSE]).unwrap();
                assert_ended(&mut client);
            }
        }
        server.until(|tally| tally.open == 1);
    }
    // The last sockets are closed in the turn after the one that let go of them.
    first.write_all(b"b").unwrap();
    read_exactly(&mut first, 1);
    server.until(|tally| tally.accepted == 501 && descriptors() == before);
    server.stop();
}

fn out_of_descriptors_clients_are_turned_away(driver: Driver) {
    if !is_child(&format!("{driver}::out_of_descriptors_clients_are_turned_away"), &[]) {
        return;
    }
    let server = Server::start(driver, Script::default());
    let mut first = server.connect();
    server.until(|tally| tally.open == 1);
    // Clients that are waiting to connect need their descriptors before the limit falls.
    let sockets: Vec<_> = (0..20)
        .map(|_| socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap())
        .collect();
    let lowest_free = fs::File::open("/dev/null").unwrap().as_raw_fd();
    let former = set_descriptors_max(lowest_free as u64);
    for socket in sockets {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.connect(&server.address.into()).unwrap();
        let mut turned_away = TcpStream::from(socket);
        let outcome = turned_away.read_to_end(&mut Vec::new()).map_err(|it| it.kind());
        assert_eq!(outcome, Err(io::ErrorKind::ConnectionReset));
        std::mem::forget(turned_away);
    }
    first.write_all(b"served").unwrap();
    assert_eq!(read_exactly(&mut first, 6), b"served");
    set_descriptors_max(former);
    let mut late = server.connect();
    late.write_all(b"again").unwrap();
    assert_eq!(read_exactly(&mut late, 5), b"again");
    let tally = server.stop();
    assert_eq!(tally.accept_failed, [Some(libc::EMFILE)].repeat(20));
}

fn accepting_rests_if_need_be(driver: Driver) {
    if !is_child(&format!("{driver}::accepting_rests_if_need_be"), &[]) {
        return;
    }
    let listener = listener::bind("127.0.0.1:0".parse().unwrap(), 1, 16).unwrap().remove(0);
    let address = listener.local_addr().unwrap();
    let waker = Waker::new().unwrap();
    let config = ReactorConfig { shard: SHARD, ring: RingConfig::default() };
    driver::with_runtime(driver, async {
        let mut reactor = Reactor::new(driver, listener, &waker, &config).unwrap();
        let mut echo = Echo::new(Script::default());
        let _client = TcpStream::connect(address).unwrap();
        // Below this all numbers are taken, so that not even a closed descriptor can be had again.
        let former = set_descriptors_max(3);
        let mut turns = 0;
        while echo.tally.accept_failed.len() < 3 {
            reactor.wait(WaitFor::Anything, DEADLINE, || false).await.unwrap();
            let _ = reactor.harvest(BUDGET, &mut echo).unwrap();
            turns += 1;
        }
        assert!(turns < 30, "a busy loop: {turns} turns for three attempts");
        set_descriptors_max(former);
        while echo.tally.accepted == 0 {
            reactor.wait(WaitFor::Anything, DEADLINE, || false).await.unwrap();
            let _ = reactor.harvest(BUDGET, &mut echo).unwrap();
        }
    })
    .unwrap();
}

fn a_door_that_rests_closes_behind_those_who_wait(driver: Driver) {
    if !is_child(&format!("{driver}::a_door_that_rests_closes_behind_those_who_wait"), &[]) {
        return;
    }
    let listener = listener::bind("127.0.0.1:0".parse().unwrap(), 1, 16).unwrap().remove(0);
    let address = listener.local_addr().unwrap();
    let waker = Waker::new().unwrap();
    let config = ReactorConfig { shard: SHARD, ring: RingConfig::default() };
    driver::with_runtime(driver, async {
        let mut reactor = Reactor::new(driver, listener, &waker, &config).unwrap();
        let mut echo = Echo::new(Script::default());
        let _clients = [(); 3].map(|()| TcpStream::connect(address).unwrap());
        let former = set_descriptors_max(3);
        while echo.tally.accept_failed.is_empty() {
            reactor.wait(WaitFor::Anything, DEADLINE, || false).await.unwrap();
            let _ = reactor.harvest(BUDGET, &mut echo).unwrap();
        }
        set_descriptors_max(former);
        // Descriptors are there again, and the rest is not over.
        reactor.close_door(Door::Public, &mut echo).unwrap();
        assert_eq!((echo.tally.accepted, echo.tally.accept_failed.len()), (3, 1));
    })
    .unwrap();
}

/// From here on io_uring's system calls do as `action` says.
fn filter_io_uring(action: u32) {
    const NUMBER: u32 = 0;
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let if_at_least = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    let if_above = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let (first, last) = (libc::SYS_io_uring_setup as u32, libc::SYS_io_uring_register as u32);
    let mut filter = [
        step(load, 0, 0, NUMBER),
        step(if_at_least, 0, 2, first),
        step(if_above, 1, 0, last),
        step(answer, 0, 0, action),
        step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program and its steps outlive the call, which copies them.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

fn echo_works(driver: Driver) {
    let server = Server::start(driver, Script::default());
    let mut client = server.connect();
    client.write_all(b"works").unwrap();
    assert_eq!(read_exactly(&mut client, 5), b"works");
    server.stop();
}

#[test]
fn forbidden_io_uring_falls_back_to_epoll() {
    for (name, errno, expected) in
        [("EPERM", libc::EPERM, "not permitted"), ("ENOSYS", libc::ENOSYS, "no io_uring")]
    {
        if env::var("RINGWAY_TEST_ERRNO").is_ok_and(|wanted| wanted != name) {
            continue;
        }
        if !is_child("forbidden_io_uring_falls_back_to_epoll", &[("RINGWAY_TEST_ERRNO", name)]) {
            continue;
        }
        filter_io_uring(libc::SECCOMP_RET_ERRNO | errno.cast_unsigned());
        let refused = driver::choose(DriverChoice::Uring).unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
        let (chosen, why) = driver::choose(DriverChoice::Auto).unwrap();
        assert_eq!(chosen, Driver::Epoll);
        assert_eq!(why.unwrap().to_string(), refused.to_string());
        echo_works(chosen);
    }
}

#[test]
fn under_epoll_io_uring_is_never_called() {
    if is_child("under_epoll_io_uring_is_never_called", &[]) {
        filter_io_uring(libc::SECCOMP_RET_KILL_PROCESS);
        let (chosen, why) = driver::choose(DriverChoice::Epoll).unwrap();
        assert!(chosen == Driver::Epoll && why.is_none());
        echo_works(chosen);
    }
}

#[test]
fn the_environment_can_force_epoll() {
    if is_child("the_environment_can_force_epoll", &[("MONOIO_FORCE_LEGACY_DRIVER", "1")]) {
        assert!(driver::choose(DriverChoice::Uring).is_err());
        let (chosen, why) = driver::choose(DriverChoice::Auto).unwrap();
        assert_eq!(chosen, Driver::Epoll);
        assert!(matches!(why, Some(driver::UringRefused::ForcedByEnvironment)));
    }
}
