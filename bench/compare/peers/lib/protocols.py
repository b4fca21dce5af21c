"""The peers' four protocols as blocking clients: enough to check a peer, not to load it.

A protocol has `member(port, room)`, a client that has joined, and `publisher(port, room, members)`, a client that may
publish into the room: the first of `members` where members publish. Clients have `publish`, `delivery`, `echo`, `close`.
"""

import hashlib
import hmac
import json
import os
import socket

TIMEOUT_S = 10
APP_KEY = "bench"
APP_SECRET = b"bench-secret"

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


class WebSocket:
    """Text messages over a stream: masked out, unfragmented in."""

    def __init__(self, port, path, headers=""):
        self.stream = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.stream.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{headers}\r\n".encode()
        )
        while b"\r\n\r\n" not in self.buffer:
            self.receive()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        assert b" 101 " in head.split(b"\r\n")[0], f"the upgrade is answered {head!r}"
        assert b"permessage-deflate" not in head, "compression is on"

    def receive(self):
        data = self.stream.recv(65536)
        assert data, "the server closed the connection"
        self.buffer += data

    def take(self, count):
        while len(self.buffer) < count:
            self.receive()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def send(self, payload, opcode=TEXT):
        data = payload.encode() if isinstance(payload, str) else payload
        size = len(data)
        length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at & 3] for at, byte in enumerate(data))
        self.stream.sendall(bytes([0x80 | opcode]) + length + mask + masked)

    def text(self):
        """The next text message; pings are answered."""
        while True:
            first, size = self.take(2)
            if size >= 126:
                size = int.from_bytes(self.take(2 if size == 126 else 8), "big")
            data = self.take(size)
            opcode = first & 0x0F
            if opcode == TEXT:
                assert first & 0x80, "a small message came in fragments"
                return data.decode()
            if opcode == PING:
                self.send(data, PONG)
            assert opcode not in (CLOSE, 0x2), f"a frame with opcode {opcode}: {data!r}"

    def close(self):
        self.stream.close()


class Client:
    """A member that may publish, which is so in all protocols but nchan's."""

    socket: WebSocket

    @classmethod
    def member(cls, port, room):
        return cls(port, room)

    @staticmethod
    def publisher(_port, _room, members):
        return members[0]

    def close(self):
        self.socket.close()


class Plain(Client):
    def __init__(self, port, room):
        self.socket = WebSocket(port, "/")
        self.socket.send("J" + room)
        answer = self.socket.text()
        assert answer == "K", f"joining is answered {answer!r}"

    def publish(self, payload):
        self.socket.send("P" + payload)

    def delivery(self):
        return self.socket.text()

    def echo(self, payload):
        self.socket.send("E" + payload)
        return self.socket.text()


class SocketIo(Client):
    def __init__(self, port, room):
        self.socket = WebSocket(port, "/socket.io/?EIO=4&transport=websocket")
        self.packet("0")
        self.socket.send("40")
        self.packet("40")
        self.socket.send("420" + json.dumps(["join", room]))
        self.packet("430")

    def packet(self, kind):
        """What follows `kind` in the next packet; heartbeats are answered."""
        while (text := self.socket.text()) == "2":
            self.socket.send("3")
        assert text.startswith(kind), f"{text!r} instead of a packet {kind}"
        return text.removeprefix(kind)

    def publish(self, payload):
        self.socket.send("42" + json.dumps(["send", payload]))

    def delivery(self):
        event, payload = json.loads(self.packet("42"))
        assert event == "message", f"the event {event!r}"
        return payload

    def echo(self, payload):
        self.socket.send("421" + json.dumps(["echo", payload]))
        return json.loads(self.packet("431"))[0]


class Pusher(Client):
    def __init__(self, port, room):
        self.channel = f"private-{room}"
        self.socket = WebSocket(port, f"/app/{APP_KEY}?protocol=7&client=check&version=1")
        socket_id = json.loads(self.event("pusher:connection_established"))["socket_id"]
        signed = hmac.new(APP_SECRET, f"{socket_id}:{self.channel}".encode(), hashlib.sha256).hexdigest()
        self.send("pusher:subscribe", {"channel": self.channel, "auth": f"{APP_KEY}:{signed}"})
        self.event("pusher_internal:subscription_succeeded")

    def send(self, event, data, **fields):
        self.socket.send(json.dumps({"event": event, "data": data, **fields}))

    def event(self, name):
        """The data of the next event, which is `name`; heartbeats are answered."""
        while (message := json.loads(self.socket.text()))["event"] == "pusher:ping":
            self.send("pusher:pong", {})
        assert message["event"] == name, f"{message!r} instead of {name}"
        return message.get("data")

    def publish(self, payload):
        self.send("client-message", payload, channel=self.channel)

    def delivery(self):
        return self.event("client-message")


class Nchan(Client):
    """A subscriber, or a publisher of its own: here nobody is both."""

    def __init__(self, port, room, side="sub"):
        self.socket = WebSocket(port, f"/{side}/{room}")

    @staticmethod
    def publisher(port, room, _members):
        return Nchan(port, room, "pub")

    def publish(self, payload):
        self.socket.send(payload)

    def delivery(self):
        return self.socket.text()


PROTOCOLS = {"plain": Plain, "socketio": SocketIo, "pusher": Pusher, "nchan": Nchan}
