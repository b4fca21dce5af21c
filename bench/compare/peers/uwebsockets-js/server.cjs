// The plain protocol on uWebSockets.js: a room is a topic of its own publish/subscribe, and `ws.publish` reaches all
// subscribers but the publisher.
"use strict";

const uws = require("@trufflesuite/uws-js-unofficial");

// Without a binary for this Node.js the package falls back to `ws`, which would be measured under a wrong name.
if (!uws.SSLApp) throw new Error(`no native uWebSockets.js for Node.js ${process.version}`);

const JOINED = "K";
const [JOIN, PUBLISH, ECHO] = Buffer.from("JPE");

function join(ws, topic) {
  const data = ws.getUserData();
  if (data.room) ws.unsubscribe(data.room);
  data.room = topic;
  ws.subscribe(topic);
  ws.send(JOINED);
}

function obey(ws, message) {
  const bytes = new Uint8Array(message);
  const rest = bytes.subarray(1);
  switch (bytes[0]) {
    case JOIN:
      return join(ws, Buffer.from(rest).toString());
    case PUBLISH:
      return ws.publish(ws.getUserData().room, rest);
    case ECHO:
      return ws.send(rest);
  }
}

uws
  .App()
  .ws("/*", {
    compression: uws.DISABLED,
    // No limit on what waits for a slow socket: the other peers drop nothing either.
    maxBackpressure: 0,
    idleTimeout: 0,
    sendPingsAutomatically: false,
    message: obey,
  })
  .listen("127.0.0.1", Number(process.argv[2]), uws.LIBUS_LISTEN_EXCLUSIVE_PORT, (listening) => {
    if (!listening) throw new Error("cannot listen");
  });
