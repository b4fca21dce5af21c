#!/usr/bin/env python3
"""What rooms, members and kept messages take of a gateway's resident memory.

    ringway --shards 1 &                      # with its own tokens, on 127.0.0.1:8080
    bench/room-memory.py --pid $! [--port 8080] [--rooms 100000] [--conns 100]

Joins ROOMS rooms over CONNS connections, then brings a second member into each, then keeps one message of 128 bytes
in each, then leaves them empty. Prints the growth of VmRSS per room after each step. Standard library only.
"""

import argparse
import json
import os
import socket
import struct
import urllib.request


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise SystemExit(f"process {pid} shows no VmRSS")


class Client:
    """A WebSocket that sends calls and waits for the acks of all of them."""

    def __init__(self, port, token):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cm9vbSBtZW1vcnkgc2l6ZQ==\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        self.stream = self.socket.makefile("rb")
        status = self.stream.readline()
        if b" 101 " not in status:
            raise SystemExit(f"refused: {status.decode().strip()}")
        while self.stream.readline() not in (b"\r\n", b""):
            pass

    def call_all(self, calls):
        for start in range(0, len(calls), 100):
            batch = calls[start : start + 100]
            self.socket.sendall(b"".join(map(frame, batch)))
            acks = 0
            while acks < len(batch):
                event = self.event()
                if event["type"] == "ack":
                    if not event["success"]:
                        raise SystemExit(f"refused: {event['error']}")
                    acks += 1

    def event(self):
        while True:
            first, second = self.stream.read(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", self.stream.read(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", self.stream.read(8))
            payload = self.stream.read(length)
            if first == 0x81:
                return json.loads(payload)


def frame(call):
    """A text frame; a mask of zeroes leaves the payload as it is."""
    payload = json.dumps({"id": 1, **call}).encode()
    length = len(payload)
    head = struct.pack("!BB", 0x81, 0x80 | length) if length < 126 else struct.pack("!BBH", 0x81, 0xFE, length)
    return head + bytes(4) + payload


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--rooms", type=int, default=100_000)
    parser.add_argument("--conns", type=int, default=100)
    options = parser.parse_args()
    url = f"http://127.0.0.1:{options.port}/dev/token?count={2 * options.conns}&prefix=member"
    with urllib.request.urlopen(url) as response:
        tokens = json.load(response)["tokens"]
    clients = [Client(options.port, token) for token in tokens]
    names = [f"room-{number}" for number in range(options.rooms)]
    shares = [names[index :: options.conns] for index in range(options.conns)]

    before = resident_bytes(options.pid)

    def step(what):
        nonlocal before
        after = resident_bytes(options.pid)
        print(f"{what:48} {(after - before) / options.rooms:8.0f} B a room")
        before = after

    def each(clients, call):
        for client, share in zip(clients, shares):
            client.call_all([call(room) for room in share])

    join = lambda room: {"type": "room:join", "room": room, "presence": False}
    each(clients[: options.conns], join)
    step("a room with one member")
    each(clients[options.conns :], join)
    step("one more member of another user")
    text = "x" * 126
    each(
        clients[: options.conns],
        lambda room: {"type": "room:send", "room": room, "payload": text, "persistent": True},
    )
    step("its log, with a message of 128 bytes")
    each(
        clients[: options.conns],
        lambda room: {"type": "room:send", "room": room, "payload": text, "persistent": True},
    )
    step("one more message")
    each(clients, lambda room: {"type": "room:leave", "room": room})
    each(clients[options.conns :], lambda room: {"type": "room:leave", "room": room})
    step("all members leave (memory that is kept for reuse)")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
