//! CPU time and memory of servers from the Prometheus metrics that they publish: the names of the client libraries, which
//! Ringway has too. Several URLs (nodes) are asked at once and summed.
//!
//! A counter that falls means a server that started anew: what the one before had used stays in the sum. When one of the
//! servers does not answer there is no sample, as a sum without it would be wrong.

use std::{thread, time::Duration};

use super::server::ServerSample;

/// Of one scrape, from the lookup of the name to the last byte.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(500);
const BODY_BYTES_MAX: u64 = 8 << 20;

const CPU: &str = "process_cpu_seconds_total";
const MEMORY: &str = "process_resident_memory_bytes";

/// There is nothing to measure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScrapeError {
    #[error("--metrics {url}: {source}")]
    NoAnswer { url: String, source: Box<ureq::Error> },
    #[error("--metrics {url} has no {metric}")]
    Missing { url: String, metric: &'static str },
}

/// The servers, and what they have used so far.
#[derive(Debug)]
pub(crate) struct Scrape {
    agent: ureq::Agent,
    nodes: Vec<Node>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Node {
    url: String,
    cpu: Growth,
    answers: bool,
}

/// A counter that goes on where it was when its process starts anew.
#[derive(Clone, Copy, Debug, Default)]
struct Growth {
    before: f64,
    last: f64,
}

/// One server at one moment.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Reading {
    cpu_s: f64,
    memory_bytes: f64,
}

impl Scrape {
    /// Asks each once: a server that does not answer, or has not what is wanted, is said before the run.
    pub(crate) fn of(urls: &[String]) -> Result<Self, ScrapeError> {
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder().proxy(None).max_redirects(0).timeout_global(Some(TIMEOUT)).build(),
        );
        let node = |url: &String| Node { url: url.clone(), cpu: Growth::default(), answers: true };
        let this = Self { agent, nodes: urls.iter().map(node).collect(), notes: Vec::new() };
        for reading in this.read_all() {
            reading?;
        }
        Ok(this)
    }

    /// What they have used by now; `None` when one of them does not answer.
    pub(crate) fn sample(&mut self) -> Option<ServerSample> {
        let readings = self.read_all();
        let mut sum = Some(ServerSample { cpu_s: 0.0, memory_bytes: 0 });
        for (node, reading) in self.nodes.iter_mut().zip(readings) {
            match (&reading, node.answers) {
                (Err(error), true) => self.notes.push(format!("no figures of the server: {error}")),
                (Ok(_), false) => self.notes.push(format!("--metrics {} answers again", node.url)),
                (Ok(_), true) | (Err(_), false) => {}
            }
            node.answers = reading.is_ok();
            sum = sum.zip(reading.ok()).map(|(sum, reading)| ServerSample {
                cpu_s: sum.cpu_s + node.cpu.reach(reading.cpu_s),
                memory_bytes: sum.memory_bytes + reading.memory_bytes as u64,
            });
        }
        sum
    }

    /// The URLs.
    pub(crate) fn source(&self) -> String {
        let urls: Vec<&str> =
            self.nodes.iter().map(|it| it.url.split('?').next().unwrap_or_default()).collect();
        urls.join(", ")
    }

    /// What happened since the last call, for people.
    pub(crate) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// In the order of the nodes, asked at the same time.
    fn read_all(&self) -> Vec<Result<Reading, ScrapeError>> {
        let read = |node: &Node| read(&self.agent, &node.url);
        if let [node] = self.nodes.as_slice() {
            return vec![read(node)];
        }
        thread::scope(|scope| {
            let asked: Vec<_> = self.nodes.iter().map(|node| scope.spawn(move || read(node))).collect();
            asked.into_iter().map(|it| it.join().expect("reading does not panic")).collect()
        })
    }
}

fn read(agent: &ureq::Agent, url: &str) -> Result<Reading, ScrapeError> {
    let no_answer = |source| ScrapeError::NoAnswer { url: url.to_owned(), source: Box::new(source) };
    let mut response = agent.get(url).header("accept", "text/plain").call().map_err(no_answer)?;
    let body = response.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_vec().map_err(no_answer)?;
    let text = String::from_utf8_lossy(&body);
    let get =
        |metric| sum_of(&text, metric).ok_or_else(|| ScrapeError::Missing { url: url.to_owned(), metric });
    Ok(Reading { cpu_s: get(CPU)?, memory_bytes: get(MEMORY)? })
}

/// The sum over all series of a metric, in the text format of Prometheus; `None` when there is none (that is a number).
fn sum_of(text: &str, metric: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| value_of(line, metric)).filter(|it| it.is_finite());
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

/// The value in a line, if it is of this metric: `name{labels} value timestamp`.
fn value_of(line: &str, metric: &str) -> Option<f64> {
    let rest = line.trim_start().strip_prefix(metric)?;
    let rest = match rest.as_bytes().first()? {
        b'{' => &rest[end_of_labels(rest)?..],
        b' ' | b'\t' => rest,
        // A longer name.
        _ => return None,
    };
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// Past the brace that closes; one in a quoted value does not, nor does a quote after a backslash end the value.
fn end_of_labels(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

impl Growth {
    fn reach(&mut self, value: f64) -> f64 {
        if value < self.last {
            self.before += self.last;
        }
        self.last = value;
        self.before + value
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        thread::JoinHandle,
    };

    use super::*;

    #[test]
    fn metrics_are_summed_over_their_series() {
        let text = "\
# HELP cpu Seconds.
# TYPE cpu counter
cpu 1.5
cpu_other 100
cpu{shard=\"0\"} 2 1700000000000
cpu{a=\"}\\\"} 7\",b=\"\"}\t3e0
  cpu{} +0.25
cpu{open=\"
cpu NaN
cpu
# cpu 50
";
        assert_eq!(sum_of(text, "cpu"), Some(6.75));
        assert_eq!(sum_of(text, "cp"), None);
        assert_eq!(sum_of("cpu +Inf\n", "cpu"), None);
        for end in 0..text.len() {
            let _ = sum_of(&text[..end], "cpu");
        }
    }

    #[test]
    fn a_counter_that_falls_goes_on_from_where_it_was() {
        let mut cpu = Growth::default();
        let sums: Vec<f64> = [5.0, 6.0, 0.5, 2.0].map(|it| cpu.reach(it)).to_vec();
        assert_eq!(sums, [5.0, 6.0, 6.5, 8.0]);
    }

    /// A server that gives these answers, one per connection.
    fn serve(answers: &'static [&'static str]) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/metrics", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            for answer in answers {
                let mut stream: TcpStream = listener.accept().unwrap().0;
                let _ = stream.read(&mut [0; 4_096]).unwrap();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    answer.len()
                );
                stream.write_all(format!("{head}{answer}").as_bytes()).unwrap();
            }
        });
        (url, server)
    }

    #[test]
    fn nodes_are_asked_and_summed_until_one_does_not_answer() {
        let (first, a) = serve(&[
            "process_cpu_seconds_total 9\nprocess_resident_memory_bytes 100\n",
            "process_cpu_seconds_total 10\nprocess_resident_memory_bytes 100\n",
            "process_cpu_seconds_total 1\nprocess_resident_memory_bytes 50\n",
            "process_cpu_seconds_total 2\nprocess_resident_memory_bytes 50\n",
        ]);
        let (second, b) = serve(&[
            "process_cpu_seconds_total 4\nprocess_resident_memory_bytes 1e3\n",
            "process_cpu_seconds_total 5\nprocess_resident_memory_bytes 1e3\n",
            "process_cpu_seconds_total 6\nprocess_resident_memory_bytes 2e3\n",
        ]);
        let mut scrape = Scrape::of(&[first.clone(), second.clone()]).unwrap();
        assert_eq!(scrape.source(), format!("{first}, {second}"));
        assert_eq!(scrape.sample(), Some(ServerSample { cpu_s: 15.0, memory_bytes: 1_100 }));
        assert_eq!(scrape.sample(), Some(ServerSample { cpu_s: 17.0, memory_bytes: 2_050 }));
        assert!(scrape.take_notes().is_empty());
        b.join().unwrap();
        assert_eq!(scrape.sample(), None);
        let notes = scrape.take_notes();
        assert!(notes.len() == 1 && notes[0].contains(&second), "{notes:?}");
        a.join().unwrap();
    }

    #[test]
    fn what_is_missing_is_said_before_the_run() {
        let (url, server) = serve(&["process_cpu_seconds_total 9\n"]);
        let error = Scrape::of(std::slice::from_ref(&url)).unwrap_err();
        assert_eq!(error.to_string(), format!("--metrics {url} has no process_resident_memory_bytes"));
        server.join().unwrap();
        let error = Scrape::of(&[url]).unwrap_err();
        assert!(matches!(error, ScrapeError::NoAnswer { .. }), "{error}");
    }
}
