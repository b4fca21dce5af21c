//! What the server under test uses, as the result tells it: by process id, and from a metrics page.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process, thread,
};

use sonic_rs::{JsonContainerTrait, JsonValueTrait};

use crate::{
    program::{LOAD, assert_clean, command, outcome, run},
    server::{Fault, Server, SignIn},
};

#[test]
fn a_process_is_measured_by_its_id_and_the_generator_is_no_part_of_it() {
    let server = Server::start(SignIn::DevToken, Fault::None);
    // The server is in this process; the generator is its child, and there may be those of other tests.
    let url = format!("{}/ws", server.url());
    let flags = ["--url", &url, "--json", "-", "--pid", &process::id().to_string()];
    let running = command().args(LOAD).args(flags).spawn().unwrap();
    let generator = format!("process {},", running.id());
    let outcome = outcome(running);
    assert_clean(&outcome);
    let measured = &outcome.json["server"];
    assert_eq!(measured["source"].as_str(), Some(&*format!("pid {}", process::id())));
    assert!(measured["samples"].as_array().unwrap().len() >= 2);
    assert!(measured["cpu_s"].as_f64() > Some(0.0), "{measured}");
    assert!(measured["cpu_per_delivery_us"].as_f64() > Some(0.0), "{measured}");
    assert!(measured["memory_peak_bytes"].as_u64() > Some(0), "{measured}");
    let notes = measured["notes"].as_array().unwrap();
    assert!(notes.iter().all(|note| !note.as_str().unwrap().contains(&generator)), "{measured}");
}

/// A metrics page that has half a second more of CPU time whenever it is asked for; gives its URL.
fn metrics() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (asked, socket) in listener.incoming().enumerate() {
            let mut socket = socket.unwrap();
            let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let cpu_s = asked as f64 / 2.0;
            let body = format!(
                "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total {cpu_s}\n\
                 process_resident_memory_bytes 5.0e+07\n"
            );
            let length = body.len();
            write!(socket, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
                .unwrap();
        }
    });
    url
}

#[test]
fn a_metrics_page_is_read() {
    let server = Server::start(SignIn::DevToken, Fault::None);
    let url = metrics();
    let outcome = run(&server, &["--metrics", &url]);
    assert_clean(&outcome);
    let measured = &outcome.json["server"];
    assert_eq!(measured["source"].as_str(), Some(&*url));
    let samples = measured["samples"].as_array().unwrap().len();
    assert!(samples >= 2, "{measured}");
    assert_eq!(measured["cpu_s"].as_f64(), Some((samples - 1) as f64 / 2.0), "{measured}");
    assert_eq!(measured["memory_peak_bytes"].as_u64(), Some(50_000_000), "{measured}");
}
