// Loaded into Azurite before its own code: an end by SIGTERM that loses nothing, and a clock that can be ahead.
"use strict";

const path = require("path");

const offset = Number(process.env.AZURITE_CLOCK_OFFSET_SECONDS || 0) * 1000;
if (offset) {
  const True = Date;
  global.Date = class extends True {
    constructor(...words) {
      super(...(words.length ? words : [True.now() + offset]));
    }
    static now() {
      return True.now() + offset;
    }
  };
}

// Azurite writes its tables out at once when it is asked to end, and then lets calls under way change them still: their
// callers are told of a success that is forgotten. So calls that were begun are waited for first, and new ones refused.
const folder = path.dirname(require.resolve("azurite/dist/src/azurite.js"));
const ServerBase = require(path.join(folder, "common", "ServerBase.js")).default;
const { start, close } = ServerBase.prototype;

ServerBase.prototype.start = async function () {
  this.underWay = 0;
  this.httpServer.prependListener("request", (request, response) => {
    if (request.method === "GET") {
      return; // changes nothing, and its reader may stand still
    }
    this.underWay += 1;
    response.once("close", () => (this.underWay -= 1));
  });
  return start.call(this);
};

ServerBase.prototype.close = async function () {
  this.httpServer.removeAllListeners("request");
  this.httpServer.on("request", (request) => request.socket.destroy());
  while (this.underWay > 0) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return close.call(this);
};
