// The plain protocol on `ws`: rooms are sets of sockets. A publication becomes one frame, built once by the library's own
// `Sender.frame` and written to each socket as it is, which is how Socket.IO broadcasts over `ws`.
"use strict";

const { Sender, WebSocketServer } = require("ws");

const TEXT = { fin: true, mask: false, opcode: 1, readOnly: true, rsv1: false };
const JOINED = "K";
const [JOIN, PUBLISH, ECHO] = Buffer.from("JPE");

const rooms = new Map();

function join(socket, name) {
  leave(socket);
  if (!rooms.has(name)) rooms.set(name, new Set());
  socket.room = rooms.get(name).add(socket);
  socket.send(JOINED);
}

function leave(socket) {
  socket.room?.delete(socket);
}

function publish(socket, payload) {
  if (!socket.room) return;
  const frame = Buffer.concat(Sender.frame(payload, TEXT));
  for (const member of socket.room) {
    if (member !== socket && member.readyState === member.OPEN) member._socket.write(frame);
  }
}

function obey(socket, message) {
  const rest = message.subarray(1);
  switch (message[0]) {
    case JOIN:
      return join(socket, rest.toString());
    case PUBLISH:
      return publish(socket, rest);
    case ECHO:
      return socket.send(rest, { binary: false });
  }
}

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  backlog: 1024,
  perMessageDeflate: false,
  clientTracking: false,
});

server.on("connection", (socket) => {
  socket.on("message", (message) => obey(socket, message));
  socket.on("close", () => leave(socket));
  socket.on("error", () => socket.terminate());
});
