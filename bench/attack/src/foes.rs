//! The process of attackers: keeps its sockets open or opening, each doing what its kind does, as fast as it gets the core.
//!
//! It says `ready` on standard output, begins with the first byte of standard input, and writes its tally when that ends.
//! A turn is bounded in each kind of work, so that dialling, flooding and trickling go on side by side.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use compare::{
    clock::{Clock, own_cpu_ns},
    failure::Failure,
    limits,
};
use mio::{Events, Interest, Poll, Token};

use crate::{
    args::FoesArgs,
    foe::{Foe, Script, Step},
    kind::Kind,
    tally::Tally,
};

/// Sockets that a turn opens at most.
const DIALS: usize = 64;
/// Admitted foes that a turn lets flood.
const FLOODS: usize = 16;
const EVENTS: usize = 512;
/// The longest sleep: those that are due come in bursts of as much.
const WAIT: Duration = Duration::from_millis(1);
/// What is further behind its pace than this part of a second is let go.
const BEHIND: u64 = 20;
/// How often a head that never ends gets a byte.
const TRICKLE_NS: u64 = 1_000_000_000;
/// After which a foe that never reads gives way to another: that it was cut off it cannot know.
const NEVER_READ_NS: u64 = 3_000_000_000;

/// Attacks until standard input ends.
pub(crate) fn run(args: &FoesArgs) -> Result<(), Failure> {
    limits::ensure(args.foes)?;
    let mut foes = Foes::new(args)?;
    let mut out = io::stdout().lock();
    writeln!(out, "ready")?;
    out.flush()?;
    let is_over = begin()?;
    let tally = foes.attack(&is_over)?;
    let text = sonic_rs::to_string(&tally).map_err(|it| Failure::Setup(it.to_string()))?;
    Ok(writeln!(out, "{text}")?)
}

/// Waits for the first byte; the flag is set when no more come.
fn begin() -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let mut byte = [0];
    if io::stdin().read(&mut byte)? == 0 {
        flag.store(true, Ordering::Relaxed);
        return Ok(flag);
    }
    let is_over = Arc::clone(&flag);
    thread::spawn(move || {
        while matches!(io::stdin().read(&mut byte), Ok(1..)) {}
        is_over.store(true, Ordering::Relaxed);
    });
    Ok(flag)
}

struct Foes {
    kind: Kind,
    script: Script,
    clock: Clock,
    poll: Poll,
    sockets: Vec<Option<Foe>>,
    /// Numbers without a socket.
    vacant: VecDeque<usize>,
    /// Those that flood, and those that never read with when they give way.
    flooding: VecDeque<usize>,
    deaf: VecDeque<(usize, u64)>,
    /// Of the slow ones, whose byte is due next, as a running number.
    trickled: u64,
    pace: Option<Pace>,
    tally: Tally,
}

/// How many come a second.
struct Pace {
    per_s: u32,
    /// Of those that were due, as a running number, the next.
    next: u64,
}

impl Pace {
    /// So many come now, at most.
    fn due(&mut self, elapsed_ns: u64, most: usize) -> usize {
        let due = (u128::from(elapsed_ns) * u128::from(self.per_s) / 1_000_000_000) as u64;
        // What a starved process could not open is not made up for.
        self.next = self.next.max(due.saturating_sub(u64::from(self.per_s).div_ceil(BEHIND)));
        let some = (due - self.next.min(due)).min(most as u64);
        self.next += some;
        some as usize
    }
}

impl Foes {
    fn new(args: &FoesArgs) -> io::Result<Self> {
        let count = args.foes as usize;
        Ok(Self {
            kind: args.kind,
            script: Script::new(args.port, args.rooms),
            clock: Clock::start(),
            poll: Poll::new()?,
            sockets: (0..count).map(|_| None).collect(),
            vacant: (0..count).collect(),
            flooding: VecDeque::new(),
            deaf: VecDeque::new(),
            trickled: 0,
            pace: (args.foes_per_s > 0).then_some(Pace { per_s: args.foes_per_s, next: 0 }),
            tally: Tally::default(),
        })
    }

    fn attack(&mut self, is_over: &AtomicBool) -> io::Result<Tally> {
        let mut events = Events::with_capacity(EVENTS);
        let (start_ns, start_cpu_ns) = (self.clock.now_ns(), own_cpu_ns());
        let (mut last_ns, mut open_ns) = (start_ns, 0.0);
        while !is_over.load(Ordering::Relaxed) {
            let now_ns = self.clock.now_ns();
            open_ns += (self.sockets.len() - self.vacant.len()) as f64 * (now_ns - last_ns) as f64;
            last_ns = now_ns;
            let is_idle = !self.dial(now_ns - start_ns) & !self.flood();
            self.trickle(now_ns - start_ns);
            self.give_way(now_ns);
            self.poll.poll(&mut events, Some(if is_idle { WAIT } else { Duration::ZERO }))?;
            for event in &events {
                self.on_event(event.token().0);
            }
        }
        let elapsed_ns = (last_ns - start_ns).max(1);
        self.tally.open = open_ns / elapsed_ns as f64;
        self.tally.elapsed_s = elapsed_ns as f64 / 1e9;
        self.tally.cpu_s = (own_cpu_ns() - start_cpu_ns) as f64 / 1e9;
        Ok(self.tally)
    }

    /// Opens some of the sockets that are missing; whether that was worth a turn.
    fn dial(&mut self, elapsed_ns: u64) -> bool {
        let some = self.vacant.len().min(DIALS);
        let some = self.pace.as_mut().map_or(some, |pace| pace.due(elapsed_ns, some));
        for _ in 0..some {
            let Some(number) = self.vacant.pop_front() else { break };
            let kind = self.kind.of_socket(number);
            self.tally.dials += 1;
            let Ok(mut foe) = Foe::dial(&self.script, kind, number) else {
                self.tally.no_port += 1;
                self.vacant.push_back(number);
                return false;
            };
            let interest = Interest::READABLE.add(Interest::WRITABLE);
            let is_watched = self.poll.registry().register(&mut foe.stream, Token(number), interest).is_ok();
            if !is_watched || foe.speak(&self.script, &mut self.tally) == Step::Over {
                self.vacant.push_back(number);
                continue;
            }
            self.sockets[number] = Some(foe);
        }
        some > 0
    }

    fn on_event(&mut self, number: usize) {
        let Some(Some(foe)) = self.sockets.get_mut(number) else { return };
        let was_admitted = foe.is_admitted;
        let mut step = foe.listen(&mut self.tally);
        if step == Step::GoesOn && !was_admitted {
            step = foe.speak(&self.script, &mut self.tally);
        }
        if step == Step::GoesOn && foe.is_admitted && !was_admitted {
            match foe.kind {
                Kind::Flood => self.flooding.push_back(number),
                Kind::NeverRead => self.deaf.push_back((number, self.clock.now_ns() + NEVER_READ_NS)),
                Kind::Connect
                | Kind::Slowloris
                | Kind::HalfOpen
                | Kind::BadToken
                | Kind::Mixed
                | Kind::Decoy => {}
            }
        }
        self.settle(number, step);
    }

    /// Lets some of the admitted ones flood; whether there are any.
    fn flood(&mut self) -> bool {
        let some = self.flooding.len().min(FLOODS);
        for _ in 0..some {
            let Some(number) = self.flooding.pop_front() else { break };
            let Some(Some(foe)) = self.sockets.get_mut(number) else { continue };
            if !(foe.is_admitted && foe.kind == Kind::Flood) {
                continue;
            }
            let step = foe.speak(&self.script, &mut self.tally);
            if step == Step::GoesOn {
                self.flooding.push_back(number);
            }
            self.settle(number, step);
        }
        some > 0
    }

    /// Gives the slow ones their bytes: each one a second, evenly.
    fn trickle(&mut self, elapsed_ns: u64) {
        if !matches!(self.kind, Kind::Slowloris | Kind::Mixed) {
            return;
        }
        let count = self.sockets.len() as u64;
        let due = (u128::from(elapsed_ns) * u128::from(count) / u128::from(TRICKLE_NS)) as u64;
        // What a starved process could not send is not made up for.
        let first = self.trickled.max(due.saturating_sub(count));
        for turn in first..due {
            let number = (turn % count) as usize;
            let Some(foe) = &mut self.sockets[number] else { continue };
            if foe.kind == Kind::Slowloris {
                let step = foe.trickle(&self.script, &mut self.tally);
                self.settle(number, step);
            }
        }
        self.trickled = due;
    }

    fn give_way(&mut self, now_ns: u64) {
        while let Some((number, _)) = self.deaf.front().copied().filter(|it| it.1 <= now_ns) {
            self.deaf.pop_front();
            self.settle(number, Step::Over);
        }
    }

    fn settle(&mut self, number: usize, step: Step) {
        if step == Step::Over && self.sockets[number].take().is_some() {
            self.vacant.push_back(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn as_many_come_as_are_due() {
        let mut pace = Pace { per_s: 1_000, next: 0 };
        assert_eq!(pace.due(0, 64), 0);
        assert_eq!(pace.due(SECOND_NS / 100, 64), 10);
        assert_eq!(pace.due(SECOND_NS / 100, 64), 0);
        assert_eq!(pace.due(SECOND_NS / 20, 30), 30, "no more than a turn takes");
        assert_eq!(pace.due(SECOND_NS / 20, 30), 10, "and the others in the next");
    }

    #[test]
    fn who_is_far_behind_does_not_catch_up() {
        let mut pace = Pace { per_s: 1_000, next: 0 };
        assert_eq!(pace.due(10 * SECOND_NS, 1_000), 50);
        assert_eq!(pace.due(10 * SECOND_NS + SECOND_NS / 100, 1_000), 10);
    }
}
