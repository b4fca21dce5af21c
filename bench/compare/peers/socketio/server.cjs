// Rooms and echo on Socket.IO with its own engine over `ws`, set up as its performance pages advise: WebSocket only, no
// compression, and no upgrade request kept for each socket.
"use strict";

const { createServer } = require("node:http");
const { Server } = require("socket.io");

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
});

io.engine.on("connection", (socket) => {
  socket.request = null;
});

io.on("connection", (socket) => {
  let room;
  socket.on("join", (name, ack) => {
    if (room) socket.leave(room);
    room = name;
    socket.join(room);
    ack();
  });
  socket.on("send", (payload) => {
    if (room) socket.to(room).emit("message", payload);
  });
  socket.on("echo", (payload, ack) => ack(payload));
});

http.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 1024 });
