//! A server that does nothing but send deliveries as fast as it can, to find out how many loadgen takes in: the other side of
//! the figures in PERFORMANCE.md.
//!
//! It speaks as much JSON v1 as it takes to be joined. When all members are there and the first publication has come, whose
//! payload names the run, its threads share the members, but the publisher, and go on numbering that stream, each for its own.
//! Every batch of frames is one write; with `merge`, the kernel may put several writes into one segment (no `TCP_NODELAY`).
//!
//! `trivial_sender ADDR MEMBERS FRAMES_PER_WRITE SECONDS [THREADS [merge]]`, then in another terminal
//! `loadgen --url ws://ADDR/ws --token x --conns MEMBERS --rooms 1 --publishers 1 --rate 1 --payload 64 --warmup 0`

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{
    error::Error,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use nix::time::ClockId;
use ringway::ws::{Decoder, Input, Item, Limits, Opcode, Role, close, deflate::Inflater, encode, handshake};

#[expect(dead_code, reason = "loadgen's own, of which only the writing half is used here")]
#[path = "../src/truth/payload.rs"]
mod payload;

use payload::{Codec, Stamp, Style};

const LIMITS: Limits = Limits { message_bytes_max: 1 << 20, fragments_max: 8, inflate_ratio_max: 1 };
const PAYLOAD_BYTES: usize = 64;
const USAGE: &str = "usage: trivial_sender ADDR MEMBERS FRAMES_PER_WRITE SECONDS [THREADS [merge]]";

/// A member, and what it said last.
struct Member {
    socket: TcpStream,
    decoder: Decoder,
}

/// What is to be done.
struct Order<'a> {
    addr: &'a str,
    members: usize,
    frames_per_write: u32,
    time: Duration,
    threads: usize,
    merges: bool,
}

impl<'a> Order<'a> {
    fn parse(args: &[&'a str]) -> Result<Self, Box<dyn Error>> {
        let [addr, members, frames_per_write, seconds, options @ ..] = args else { return Err(USAGE.into()) };
        let (threads, merges) = match options {
            [] => ("1", false),
            [threads] => (*threads, false),
            [threads, "merge"] => (*threads, true),
            _ => return Err(USAGE.into()),
        };
        Ok(Self {
            addr,
            members: members.parse()?,
            frames_per_write: frames_per_write.parse()?,
            time: Duration::from_secs_f64(seconds.parse()?),
            threads: threads.parse()?,
            merges,
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let Order { addr, members, frames_per_write, time, threads, merges } = Order::parse(&args)?;
    let listener = TcpListener::bind(addr)?;
    let mut inside = Vec::new();
    while inside.len() < members {
        // Loadgen's first connection only looks whether anybody listens.
        if let Ok(member) = admit(listener.accept()?.0, merges) {
            inside.push(member);
        }
    }
    let (publisher, run, first) = first_publication(&mut inside)?;
    let listeners: Vec<&TcpStream> =
        (0..).zip(&inside).filter(|it| it.0 != publisher).map(|it| &it.1.socket).collect();
    let flood = |share: &[&TcpStream]| flood(share, run, first, frames_per_write, time);
    let share_of_each = listeners.len().div_ceil(threads).max(1);
    let floods: io::Result<Vec<Flood>> = thread::scope(|scope| {
        let running: Vec<_> =
            listeners.chunks(share_of_each).map(|share| scope.spawn(move || flood(share))).collect();
        running.into_iter().map(|it| it.join().map_err(|_| io::Error::other("a thread panicked"))?).collect()
    });
    floods?.iter().for_each(Flood::print);
    inside.iter_mut().try_for_each(say_goodbye)?;
    Ok(())
}

/// Upgrade, join, and their answers.
fn admit(mut socket: TcpStream, merges: bool) -> io::Result<Member> {
    socket.set_nodelay(!merges)?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
    write!(
        socket,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        handshake::accept_key(key).as_str()
    )?;
    let mut member = Member { socket, decoder: Decoder::new(Role::Server, None) };
    let join = next_text(&mut member)?;
    acknowledge(&mut member, &join)?;
    Ok(member)
}

/// Who publishes, the run, and the number and time of what was published.
fn first_publication(inside: &mut [Member]) -> io::Result<(usize, u32, Stamp)> {
    loop {
        for (index, member) in inside.iter_mut().enumerate() {
            member.socket.set_nonblocking(true)?;
            let text = next_text(member);
            member.socket.set_nonblocking(false)?;
            match text {
                Ok(text) => {
                    acknowledge(member, &text)?;
                    let (run, stamp) = stamp_of(&text).ok_or(io::ErrorKind::InvalidData)?;
                    return Ok((index, run, stamp));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Of the layout that `payload` documents.
fn stamp_of(text: &str) -> Option<(u32, Stamp)> {
    let (_, fields) = text.split_once(r#"{"lg": ""#)?;
    let mut numbers = fields.split('-').map(|digits| u64::from_str_radix(digits, 16).ok());
    let mut next = || numbers.next().flatten();
    let (run, stream, seq, at_ns) = (next()?, next()?, next()?, next()?);
    Some((run as u32, Stamp { stream: stream as u32, seq: seq as u32, at_ns }))
}

/// What one thread sent, and how long it took.
struct Flood {
    frames: u64,
    writes: u64,
    took: Duration,
    cpu: Duration,
}

impl Flood {
    fn print(&self) {
        let Self { frames, writes, took, cpu } = self;
        println!(
            "{frames} frames in {writes} writes in {:.2} s: {:.0} frames/s, {:.2} µs of CPU a write, {:.0} % of a core",
            took.as_secs_f64(),
            *frames as f64 / took.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / (*writes).max(1) as f64,
            cpu.as_secs_f64() * 100.0 / took.as_secs_f64()
        );
    }
}

fn flood(
    listeners: &[&TcpStream],
    run: u32,
    first: Stamp,
    frames_per_write: u32,
    time: Duration,
) -> io::Result<Flood> {
    let codec = Codec::new(run, Style::Verbatim, PAYLOAD_BYTES);
    let (mut stamp, begun, cpu_begun) = (first, Instant::now(), thread_cpu());
    let (mut batch, mut text, mut frames, mut writes) = (Vec::new(), Vec::new(), 0, 0);
    while begun.elapsed() < time {
        batch.clear();
        for _ in 0..frames_per_write {
            text.clear();
            text.extend_from_slice(
                br#"{"type":"room:message","id":"0123456789abcdef","room":"r0","from":"load-0","payload":"#,
            );
            codec.write(&mut text, stamp, PAYLOAD_BYTES);
            text.extend_from_slice(br#","timestamp":1700000000000}"#);
            encode::frame(&mut batch, Opcode::Text, &text, false, None);
            stamp.seq += 1;
            stamp.at_ns = first.at_ns + begun.elapsed().as_nanos() as u64;
        }
        for socket in listeners {
            (&mut &**socket).write_all(&batch)?;
        }
        frames += u64::from(frames_per_write) * listeners.len() as u64;
        writes += listeners.len() as u64;
    }
    Ok(Flood { frames, writes, took: begun.elapsed(), cpu: thread_cpu() - cpu_begun })
}

fn thread_cpu() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().map(Duration::from).unwrap_or_default()
}

fn say_goodbye(member: &mut Member) -> io::Result<()> {
    while next_text(member).is_ok() {}
    let mut frame = Vec::new();
    encode::close(&mut frame, close::NORMAL, "", None);
    // Who has gone already needs no goodbye.
    let _ = member.socket.write_all(&frame);
    Ok(())
}

/// The next text message; an error at the end of the connection.
fn next_text(member: &mut Member) -> io::Result<String> {
    let (mut inflater, mut buffer) = (Inflater::new(), [0; 4096]);
    loop {
        let count = member.socket.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut input = Input::new(&mut buffer[..count]);
        while let Some(item) =
            member.decoder.next(&mut input, &mut inflater, &LIMITS).map_err(|_| io::ErrorKind::InvalidData)?
        {
            match item {
                Item::Text(text) => return Ok(text.to_owned()),
                Item::Close(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Item::Binary(_) | Item::Ping(_) | Item::Pong(_) => {}
            }
        }
    }
}

fn acknowledge(member: &mut Member, text: &str) -> io::Result<()> {
    let (_, rest) = text.split_once(r#""id":"#).ok_or(io::ErrorKind::InvalidData)?;
    let id = rest.split(',').next().unwrap_or_default();
    let mut frame = Vec::new();
    let ack = format!(r#"{{"type":"ack","id":{id},"success":true}}"#);
    encode::frame(&mut frame, Opcode::Text, ack.as_bytes(), false, None);
    member.socket.write_all(&frame)
}
