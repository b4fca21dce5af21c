//! The backend decides: what the gateway answers is what a REST server answers for the same user, resource and action.

use std::{
    fs,
    io::{self, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use ringway::shell::driver::Driver;
use serde_json::Value;
use socket2::{Domain, Protocol, Socket as RawSocket, Type};

use crate::support::{Asked, Backend, Gateway, Http, Socket, Start, token, until};

on_both_drivers!(
    the_answer_equals_the_rest_status,
    servers_that_do_not_answer,
    what_is_said_in_one_go_is_answered_in_order
);

/// By whom, what, and where; the status is of who may.
type Row = (&'static str, &'static str, u16);

/// What the REST server knows: `None` where anybody else gets 403.
const TASKS: [Row; 10] = [
    ("ada", "/tasks/1", 200),
    ("bob", "/tasks/1", 204),
    ("ada", "/tasks/1/comments", 200),
    ("bob", "/tasks/1/comments", 403),
    ("ada", "/tasks/2", 404),
    ("bob", "/tasks/2", 401),
    ("ada", "/tasks/3", 429),
    ("bob", "/tasks/3", 500),
    ("ada", "/tasks/4", 302),
    ("ada", "/tasks/a%20b%3Fc%23d", 200),
];

/// The user of one of our tokens.
fn user_of(bearer: &str) -> String {
    ["ada", "bob", "eve"].into_iter().find(|user| bearer == token_of(user)).unwrap_or("nobody").to_owned()
}

/// The same one every time, so that both sides know it.
fn token_of(user: &str) -> String {
    token::sign(token::HS256, &format!(r#"{{"sub":"{user}","tenant":"acme","exp":4102444800}}"#))
}

fn rest(asked: &Asked) -> (u16, String) {
    let user = user_of(asked.bearer.as_deref().unwrap_or_default());
    let row = TASKS.iter().find(|(who, path, _)| *who == user && *path == asked.path);
    let status = row.map_or(403, |(.., status)| *status);
    // Longer than what is read of it: the status counts.
    (status, format!(r#"{{"secret":"{}"}}"#, "x".repeat(if asked.path == "/tasks/1" { 200_000 } else { 10 })))
}

/// A gateway with these lines as its configuration.
fn start(driver: Driver, test: &str, lines: &str) -> Gateway {
    start_shards(driver, 2, test, lines)
}

fn start_shards(driver: Driver, shards: u16, test: &str, lines: &str) -> Gateway {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("resources");
    fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
    let file = folder.join(format!("{test}-{}.toml", driver.as_str()));
    fs::write(&file, lines).expect("the folder for temporary files can be written");
    Start::on(driver).shards(shards).arg("--config").arg(&file).set("log.level", "trace").start()
}

fn socket(gateway: &Gateway, user: &str) -> Socket {
    let mut socket = Socket::with_token(gateway.address, &token_of(user));
    socket.expect("connection:established");
    socket
}

/// What REST answers.
fn rest_status(backend: &Backend, user: &str, path: &str) -> u16 {
    let bearer = format!("Authorization: Bearer {}\r\n", token_of(user));
    Http::connect(backend.address).get_with(path, &bearer).status
}

/// What the gateway answers, as a status: an ack is the one of REST if that is good.
fn status_of(ack: &Value, good: u16) -> u16 {
    if ack["success"] == true { good } else { ack["error"]["status"].as_u64().expect("a status") as u16 }
}

/// The contract: what is neither yes nor one of the three ways to say no is `unavailable`.
fn expected(rest: u16) -> u16 {
    match rest {
        200..=299 | 401 | 403 | 404 => rest,
        _ => 503,
    }
}

fn the_answer_equals_the_rest_status(driver: Driver) {
    let backend = Backend::start(rest);
    let lines = format!(
        "[resources]\nbase_url = \"{}\"\nbreaker_failures = 0\n\n[[resources.rules]]\nroom = \"task:{{id}}\"\nurl = \
         \"/tasks/{{id}}\"\n\n[[resources.rules]]\nroom = \"task:{{id}}\"\nurl = \"/tasks/{{id}}/comments\"\nactions = \
         [\"send\"]\n",
        backend.url("")
    );
    let mut gateway = start(driver, "contract", &lines);
    let resources =
        [("1", "1"), ("2", "2"), ("3", "3"), ("4", "4"), ("5", "5"), ("a b?c#d", "a%20b%3Fc%23d")];
    for user in ["ada", "bob", "eve"] {
        let mut socket = socket(&gateway, user);
        for (id, in_url) in resources {
            let path = format!("/tasks/{in_url}");
            let status = rest_status(&backend, user, &path);
            let room = format!("task:{id}");
            let ack = socket.call(&format!(r#""type":"room:join","room":"{room}","presence":false"#));
            assert_eq!(status_of(&ack, status), expected(status), "{user} joins {room}: {ack}");
            if ack["success"] == true {
                socket.expect("room:joined");
            }
            let is_member = ack["success"] == true;
            // Reading goes by the same resource, writing by another; who is not in the room may neither.
            let writes = rest_status(&backend, user, &format!("{path}/comments"));
            for (fields, status) in [
                (r#""type":"query:presence""#, status),
                (r#""type":"room:history""#, status),
                (r#""type":"room:send","payload":1"#, writes),
            ] {
                let ack = socket.call(&format!(r#"{fields},"room":"{room}""#));
                let expected = if is_member { expected(status) } else { 403 };
                assert_eq!(status_of(&ack, status), expected, "{user} {fields} {room}: {ack}");
            }
        }
        // No resource, and nobody is asked for one.
        let before = backend.asked().len();
        let ack = socket.call(r#""type":"room:join","room":"task:""#);
        assert_eq!(status_of(&ack, 200), 404, "{ack}");
        assert_eq!(backend.asked().len(), before);
        // What no rule maps is as ever.
        socket.join("lobby");
    }
    assert!(gateway.metric(r#"websocket_resource_calls_total{result="ok"}"#) >= 4.0);
    assert!(gateway.metric(r#"websocket_resource_calls_total{result="denied"}"#) >= 4.0);
    assert!(gateway.metric(r#"websocket_resource_calls_total{result="status"}"#) >= 3.0);
    assert_eq!(gateway.metric("websocket_resource_held_bytes"), 0.0);
    gateway.serves_the_next("resources");
    gateway.signal(libc::SIGTERM);
    gateway.wait();
    let output = gateway.output();
    assert!(output.contains("a resource cannot be asked for") && output.contains("says 500"), "{output}");
    for user in ["ada", "bob", "eve"] {
        assert!(!output.contains(&token_of(user)), "a token in the log: {output}");
    }
}

/// Listens, and does with each connection what `answer` says.
fn odd_server(answer: &'static (dyn Fn(&mut dyn Write) + Sync)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            answer(&mut stream);
            kept.push(stream);
            if kept.len() > 64 {
                kept.clear();
            }
        }
    });
    format!("http://{address}")
}

/// Where nobody listens as long as the socket lives: a port that is bound cannot become anybody else's.
fn nobody() -> (RawSocket, String) {
    let socket =
        RawSocket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("a socket can be had");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port is free");
    let address =
        socket.local_addr().ok().and_then(|address| address.as_socket()).expect("it has an address");
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    (socket, format!("http://{address}"))
}

fn servers_that_do_not_answer(driver: Driver) {
    let silent = odd_server(&|_| {});
    let broken = odd_server(&|stream| {
        let _ = stream.write_all(b"nothing like HTTP\r\n\r\n");
    });
    let endless = odd_server(&|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ");
        let _ = stream.write_all(&[b'x'; 100_000]);
    });
    let (_unheard, nobody) = nobody();
    let servers = [("silent", silent), ("broken", broken), ("endless", endless), ("down", nobody)];
    let rule = |(name, url): &(&str, String)| {
        format!("[[resources.rules]]\nroom = \"{name}:{{id}}\"\nurl = \"{url}/{{id}}\"\n")
    };
    let rules: String = servers.iter().map(rule).collect();
    // Each shard has a breaker of its own.
    let gateway = start_shards(
        driver,
        1,
        "odd",
        &format!("[resources]\ntimeout_ms = 200\nbreaker_failures = 2\nbreaker_open_ms = 600000\n{rules}"),
    );
    // What one alone finds out about a server counts once: it may be his own doing.
    let mut askers = ["ada", "bob"].map(|user| socket(&gateway, user));
    for (name, _) in &servers {
        for number in 0..3 {
            let asker = &mut askers[number % 2];
            let ack = asker.call(&format!(r#""type":"room:join","room":"{name}:{number}""#));
            assert_eq!(ack["error"]["code"], "unavailable", "{name} {number}: {ack}");
        }
    }
    assert_eq!(gateway.metric("websocket_resource_breakers_open"), 4.0);
    assert_eq!(gateway.metric(r#"websocket_resource_unasked_total{reason="breaker_open"}"#), 4.0);
    for (result, least) in [("timeout", 2.0), ("connect", 2.0), ("broken", 2.0)] {
        let series = format!(r#"websocket_resource_calls_total{{result="{result}"}}"#);
        assert!(gateway.metric(&series) >= least, "{result}");
    }
    // The rest of the gateway has not suffered.
    for asker in &mut askers {
        asker.join("lobby");
        assert_eq!(asker.ping(), "pong");
    }
}

fn what_is_said_in_one_go_is_answered_in_order(driver: Driver) {
    // It answers when it is let, so that what is sent meanwhile waits.
    let gate = Arc::new(Mutex::new(()));
    let (shut, passed) = (gate.lock().unwrap(), Arc::clone(&gate));
    let backend = Backend::start(move |asked| {
        drop(passed.lock().unwrap());
        rest(asked)
    });
    let lines = format!(
        "[[resources.rules]]\nroom = \"task:{{id}}\"\nurl = \"{}\"\nactions = [\"*\"]\n",
        backend.url("/tasks/{id}")
    );
    let gateway = start(driver, "order", &lines);
    let mut ada = socket(&gateway, "ada");
    ada.send(r#"{"type":"room:join","id":1,"room":"task:1","presence":false}"#);
    ada.send(
        r#"{"type":"room:send","id":2,"room":"task:1","payload":"early","persistent":true,"echo":true}"#,
    );
    ada.send(r#"{"type":"room:history","id":3,"room":"task:1"}"#);
    assert_eq!(ada.ping(), "pong", "who waits for one room is served otherwise");
    until("the question", || (!backend.asked().is_empty()).then_some(()));
    assert!(gateway.metric("websocket_resource_held_bytes") > 0.0);
    drop(shut);
    let mut acks = Vec::new();
    while acks.len() < 3 {
        let event = ada.json();
        if event["type"] == "ack" {
            assert_eq!(event["success"], true, "{event}");
            acks.push(event["id"].as_u64().unwrap());
        }
    }
    assert_eq!(acks, [1, 2, 3]);
    assert_eq!(backend.asked().len(), 1, "one question for all");
}
