//! Rooms as clients of JSON v1 see them: commands, acks, events, names, tenants.

use ringway::shell::driver::Driver;
use serde_json::json;

use crate::support::{Socket, Start, token::token, until};

on_both_drivers!(commands_and_events, payloads_travel_byte_for_byte, tenants_do_not_cross, channels, limits);

fn commands_and_events(driver: Driver) {
    let gateway = Start::on(driver).shards(3).start();
    let mut ada = gateway.socket("ada", "acme");
    let mut bob = gateway.socket("bob", "acme");
    let joined = ada.join("lobby");
    assert_eq!((&joined["room"], &joined["offset"]), (&"lobby".into(), &0.into()), "{joined}");
    assert_eq!(joined["recovered"], false);
    let again = bob.call(r#""type":"room:join","room":"lobby","metadata":{ "color" : "red" }"#);
    assert_eq!(
        (&again["roomId"], &again["epoch"]),
        (&joined["roomId"], &joined["epoch"]),
        "the same for all"
    );
    let text = bob.text();
    assert_eq!(text, r#"{"type":"room:joined","room":"lobby","metadata":{ "color" : "red" }}"#);

    // An ack for the sender with an id, the message for the others; ids of both kinds come back as they were.
    ada.send(r#"{"type":"room:send","id":"first one","room":"lobby","payload":[1]}"#);
    let ack = ada.expect("ack");
    assert_eq!((&ack["id"], &ack["success"]), (&"first one".into(), &true.into()), "{ack}");
    let message = bob.expect("room:message");
    assert_eq!((&message["from"], &message["room"]), (&"ada".into(), &"lobby".into()));
    assert_eq!((&message["payload"], &message["id"]), (&json!([1]), &ack["messageId"]));
    assert!(message["timestamp"].as_u64() > Some(1_700_000_000_000), "Unix ms: {message}");
    // Without an id success is silent; with `echo` the sender hears itself.
    ada.send(r#"{"type":"room:send","room":"lobby","payload":2,"echo":true,"messageId":"mine"}"#);
    for socket in [&mut ada, &mut bob] {
        let message = socket.expect("room:message");
        assert_eq!((&message["payload"], &message["id"]), (&2.into(), &"mine".into()));
    }

    assert_eq!(bob.call(r#""type":"query:rooms""#)["rooms"], json!(["lobby"]));
    assert_eq!(bob.call(r#""type":"room:leave","room":"lobby""#)["success"], true);
    assert_eq!(bob.expect("room:left")["room"], "lobby");
    assert_eq!(bob.call(r#""type":"query:rooms""#)["rooms"], json!([]));
    assert_eq!(ada.call(r#""type":"room:send","room":"lobby","payload":3"#)["success"], true);
    assert_eq!(bob.ping(), "pong", "and not the message");

    let rows = [
        (r#""type":"room:history","room":"elsewhere""#, "forbidden", 403),
        (r#""type":"room:fly","room":"lobby""#, "unknown_type", 400),
        (r#""type":"room:send","room":"lobby""#, "bad_request", 400),
        (r#""type":"room:send","room":"elsewhere","payload":1"#, "forbidden", 403),
        (r#""type":"room:leave","room":"elsewhere""#, "not_found", 404),
    ];
    for (call, code, status) in rows {
        let ack = ada.call(call);
        assert_eq!(
            (&ack["error"]["code"], &ack["error"]["status"]),
            (&code.into(), &status.into()),
            "{call}"
        );
        assert!(ack["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{ack}");
    }
    assert_eq!(bob.call(r#""type":"room:send","room":"lobby","payload":1"#)["error"]["code"], "forbidden");
    bob.send(r#"{"type":"room:leave","room":"lobby"}"#);
    assert_eq!(bob.expect("system:error")["code"], "not_found", "without an id, failure is an event");
}

fn payloads_travel_byte_for_byte(driver: Driver) {
    let gateway = Start::on(driver).start();
    let mut ada = gateway.socket("ada", "acme");
    let mut bob = gateway.socket("bob", "acme");
    ada.join("lobby");
    bob.join("lobby");
    let payloads = [
        r#"{"a" :  1.0e+00 ,"b":[ ],	"c" : {}  }"#,
        r#""\u00e9\ud83d\ude00\/\b é😀 \"""#,
        "-0",
        "1E400",
        "123456789012345678901234567890.000",
        "null",
        r#"{"dup":1,"dup":2}"#,
        "[\n\r\t 1 ,\n 2 ]",
        r#"" ""#,
        "\"\u{2028}\u{7f}\u{85}\"",
        r#"{"type":"ack","id":1}"#,
    ];
    for payload in payloads {
        // Also behind the field, before the comma, and with the field's name escaped.
        for message in [
            format!(r#"{{"type":"room:send","room":"lobby","payload":{payload}}}"#),
            format!(r#"{{ "payload" : {payload} , "type":"room:send","\u0072oom":"lobby" }}"#),
        ] {
            ada.send(&message);
            let text = bob.text();
            assert!(
                text.contains(&format!(r#","payload":{payload},"timestamp":"#)),
                "{payload} became {text}"
            );
        }
    }
    // The largest message that is allowed, in one frame of more than 64 KiB on the way back.
    let head = r#"{"type":"room:send","room":"lobby","payload":"#;
    let payload = format!("\"{}\"", "x".repeat((64 << 10) - head.len() - "\"\"}".len()));
    ada.send(&format!("{head}{payload}}}"));
    assert!(bob.text().contains(&payload));
}

fn tenants_do_not_cross(driver: Driver) {
    let gateway = Start::on(driver).shards(3).start();
    let mut here: Vec<Socket> = (0..4).map(|_| gateway.socket("ada", "acme")).collect();
    let mut there: Vec<Socket> = (0..4).map(|_| gateway.socket("ada", "globex")).collect();
    let ids = |sockets: &mut [Socket]| -> Vec<_> {
        sockets.iter_mut().map(|socket| socket.join("lobby")["roomId"].clone()).collect()
    };
    let (acme, globex) = (ids(&mut here), ids(&mut there));
    assert!(acme.iter().all(|id| *id == acme[0]) && globex.iter().all(|id| *id == globex[0]));
    assert_ne!(acme[0], globex[0], "the same name is another room");
    let secret = r#"{"type":"room:send","room":"lobby","payload":"acme only","echo":true}"#;
    here[0].send(secret);
    for socket in &mut here {
        assert_eq!(socket.expect("room:message")["payload"], "acme only");
    }
    // The next thing that the others hear is their own.
    there[0].send(r#"{"type":"room:send","room":"lobby","payload":"globex only","echo":true}"#);
    for socket in &mut there {
        assert_eq!(socket.expect("room:message")["payload"], "globex only");
    }
    for name in ["acme/lobby", "acme\\u0000lobby", "../acme/lobby", "acme:lobby"] {
        let ack = there[0].call(&format!(r#""type":"room:join","room":"{name}""#));
        if ack["success"] == true {
            assert_ne!(ack["roomId"], acme[0], "{name}");
            there[0].expect("room:joined");
        }
    }
}

fn channels(driver: Driver) {
    let gateway = Start::on(driver).start();
    let mut ada = gateway.socket("ada", "acme");
    let rows = [
        ("dashboard", "dashboard.ada"),
        ("alerts", "alerts.ada"),
        ("metrics", "metrics.acme"),
        ("system", "system.acme"),
        ("orders", "orders"),
        ("dashboard.bob", "dashboard.bob"),
    ];
    for (channel, room) in rows {
        let ack = ada.call(&format!(r#""type":"subscribe","channel":"{channel}""#));
        assert_eq!((&ack["success"], &ack["room"]), (&true.into(), &room.into()), "{channel}: {ack}");
        assert_eq!(ada.expect("room:joined")["room"], room);
    }
    let mut rooms: Vec<_> = rows.iter().map(|(_, room)| *room).collect();
    rooms.sort_unstable();
    assert_eq!(ada.call(r#""type":"query:rooms""#)["rooms"], json!(rooms));
    for (channel, room) in rows {
        assert_eq!(ada.call(&format!(r#""type":"unsubscribe","channel":"{channel}""#))["success"], true);
        assert_eq!(ada.expect("room:left")["room"], room);
    }
    assert_eq!(ada.call(r#""type":"query:rooms""#)["rooms"], json!([]));
}

fn limits(driver: Driver) {
    let start = Start::on(driver).set("limits.rooms_per_connection", 3).set("limits.message_bytes", 1024);
    let gateway = start.start();
    let mut ada = gateway.socket("ada", "acme");
    for room in ["a", "b", "c"] {
        ada.join(room);
    }
    let ack = ada.call(r#""type":"room:join","room":"d""#);
    assert_eq!((&ack["error"]["code"], &ack["error"]["status"]), (&"forbidden".into(), &403.into()), "{ack}");
    ada.join("a");
    ada.call(r#""type":"room:leave","room":"a""#);
    ada.expect("room:left");
    ada.join("d");

    let mut socket = Socket::with_token(gateway.address, &token("bob", "acme"));
    let established = socket.expect("connection:established");
    assert!(established["limits"].to_string().contains("1024"), "the limits are said: {established}");
    socket.send(&format!(r#"{{"type":"ping","x":"{}"}}"#, "x".repeat(1024)));
    assert_eq!(socket.closed().0, 1009);
    assert_eq!(ada.ping(), "pong");
    for limit in ["rooms_per_connection", "message_size"] {
        let met = gateway.metric(&format!("websocket_rate_limited_total{{limit=\"{limit}\"}}"));
        assert_eq!(met, 1.0, "{limit}");
        until("it is said", || gateway.output().contains(&format!(r#""reason":"{limit}""#)).then_some(()));
    }
}
