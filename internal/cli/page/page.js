// The page of the command: two EventSources, what has come of them, and a box to post.
// Whatever the network brings is shown through textContent alone, so that nothing that is posted can become markup.

const minute = 60_000;
const listed = 100; // entries of a list: enough to look back, and a page that stays small overnight
const marked = 1_200; // marks of the minute, beyond which the eye could not tell them apart
const longest = 2_000; // characters of one event that are shown; a post may have megabytes

const byId = (id) => document.getElementById(id);
const clock = (at) => new Date(at).toTimeString().slice(0, 8);
const shorten = (text) => (text.length <= longest ? text : `${text.slice(0, longest)}… (${text.length} characters)`);
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

// element makes an element with text in it, or with other elements.
function element(name, properties, ...children) {
  const e = Object.assign(document.createElement(name), properties);
  e.append(...children);
  return e;
}

// svg makes an element of the timeline.
function svg(name, attributes, text = "") {
  const e = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  e.textContent = text;
  return e;
}

// prepend puts an item on top of a list, and lets go of the oldest.
function prepend(list, ...children) {
  list.querySelector(".none")?.remove();
  list.prepend(element("li", {}, ...children));
  while (list.children.length > listed) list.lastElementChild.remove();
}

const time = (at) => element("time", { dateTime: new Date(at).toISOString() }, clock(at));

// say tells those who listen to the page what their own action has done. Nothing else is said: streams never pause for a listener.
const say = (text) => { byId("said").textContent = text; };

// A Timeline is the last minute of both streams as a drawing, and its newest entries as a list, which is the text of the drawing.
class Timeline {
  static lanes = { // a letter stands over its mark, and the lane's name over that
    letters: { name: "Letters", nameAt: 16, at: 48 },
    posts: { name: "Posts", nameAt: 84, at: 104 },
  };
  static axis = 146;
  static shapes = { // told apart by their form; colour is for the lane
    event: "M0-8V8",
    open: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0",
    error: "M-5-5L5 5M-5 5L5-5",
    close: "M-4.5-4.5h9v9h-9z",
  };

  #drawing;
  #list;
  #layer = svg("g", {}); // all marks; time passes by moving it, so that a step costs one attribute, however many there are
  #marks = []; // in order of time
  #origin = Date.now(); // of the layer's coordinates
  #width = 1;
  #timer;
  #lastGlyph = 0;

  constructor(drawing, list) {
    this.#drawing = drawing;
    this.#list = list;
    for (const [key, lane] of Object.entries(Timeline.lanes)) {
      drawing.append(
        svg("text", { x: 0, y: lane.nameAt, class: key }, lane.name),
        svg("line", { x1: 0, x2: "100%", y1: lane.at, y2: lane.at }),
      );
    }
    for (const [x, anchor, label] of [["0%", "start", "60 s"], ["25%", "middle", "45 s"], ["50%", "middle", "30 s"], ["75%", "middle", "15 s"], ["100%", "end", "now"]]) {
      drawing.append(
        svg("line", { x1: x, x2: x, y1: 26, y2: Timeline.axis - 16 }),
        svg("text", { x, y: Timeline.axis, "text-anchor": anchor, class: "axis" }, label),
      );
    }
    drawing.append(this.#layer);
    new ResizeObserver(() => this.#restart()).observe(drawing);
    document.addEventListener("visibilitychange", () => this.#restart());
    reducedMotion.addEventListener("change", () => this.#restart());
  }

  // add enters what has just happened on a stream. A glyph, if there is one, stands over its mark.
  add(stream, kind, text, glyph = "") {
    const at = Date.now();
    prepend(this.#list, time(at), element("span", { className: stream.key }, stream.title), element("span", {}, text));
    const node = svg("g", { class: `${stream.key} ${kind}` });
    node.append(svg("path", { d: Timeline.shapes[kind] }));
    if (glyph && at - this.#lastGlyph >= minute * 14 / this.#width) { // or they would lie over each other
      node.append(svg("text", { y: -12, class: "glyph" }, glyph));
      this.#lastGlyph = at;
    }
    const mark = { at, lane: Timeline.lanes[stream.key], node };
    this.#marks.push(mark);
    this.#place(mark);
    this.#layer.append(node);
    this.#forget(); // also in a hidden tab, which may stay hidden for days
    if (!document.hidden) this.#step();
  }

  #place({ at, lane, node }) {
    node.setAttribute("transform", `translate(${(at - this.#origin) * this.#width / minute} ${lane.at})`);
  }

  // forget lets go of the marks that are over.
  #forget() {
    const over = Date.now() - minute;
    while (this.#marks.length > marked || this.#marks[0]?.at < over) this.#marks.shift().node.remove();
  }

  // step moves the marks to where they are now.
  #step() {
    this.#forget();
    const age = Date.now() - this.#origin;
    this.#layer.setAttribute("transform", `translate(${this.#width * (1 - age / minute)} 0)`);
    if (age > 10 * minute) this.#restart(); // large coordinates are inexact, and marks would tremble
  }

  // restart lays all of it out for the width that there is, and goes on, in steps of one pixel: as smooth as can be seen,
  // with far fewer steps than a screen has frames. In a hidden tab it stands still; for those who want less motion it stirs now and then.
  #restart() {
    clearInterval(this.#timer);
    if (document.hidden) return;
    this.#width = this.#drawing.clientWidth || 1;
    this.#origin = Date.now();
    this.#marks.forEach((mark) => this.#place(mark));
    this.#step();
    this.#timer = setInterval(() => this.#step(), reducedMotion.matches ? 5_000 : minute / this.#width);
  }
}

// A Stream is one panel: an EventSource, and what is to be seen of it.
// An EventSource hands over only events whose type has been asked for, so that the page shows those of type "message", which all of the server's own have.
class Stream {
  #source;
  #events = 0;
  #reconnects = 0;
  #broken = false; // since it was open last
  #asked = false; // opened by the button, so that the outcome is to be said

  constructor(key, title, path, timeline, onEvent) {
    Object.assign(this, { key, title, path, timeline, onEvent });
    for (const part of ["state", "reconnects", "id", "count", "list", "toggle"]) this[part] = byId(`${key}-${part}`);
    this.list.append(element("li", { className: "none" }, "None yet."));
    this.toggle.addEventListener("click", () => (this.#source.readyState === EventSource.CLOSED ? this.#reopen() : this.#close()));
    this.#open();
  }

  #open() {
    const source = new EventSource(this.path);
    source.onopen = () => this.#opened();
    source.onerror = () => this.#failed();
    source.onmessage = (event) => this.#received(event);
    this.#source = source;
    this.#broken = false;
    this.id.textContent = "none"; // a new EventSource has none to send
    this.#show("connecting");
  }

  #reopen() {
    this.#asked = true;
    this.#open();
  }

  #close() {
    this.#source.close();
    this.#asked = false;
    this.timeline.add(this, "close", "closed by you");
    this.#show("closed");
    say(`${this.title} closed.`);
  }

  #opened() {
    if (this.#broken) this.reconnects.textContent = ++this.#reconnects;
    this.timeline.add(this, "open", this.#broken ? "opened again" : "opened");
    this.#broken = false;
    this.#show("open");
    this.#answer("open");
  }

  // failed is told of two things: a connection that is lost, after which the EventSource comes back by itself, and an answer that ends it.
  #failed() {
    this.#broken = true;
    const ended = this.#source.readyState === EventSource.CLOSED;
    this.timeline.add(this, "error", ended ? "error: ended by the server’s answer" : "error: not connected, will try again");
    this.#show(ended ? "closed" : "connecting");
    this.#answer(ended ? "could not be opened" : "not connected, will try again");
  }

  #received({ data, lastEventId }) {
    const at = Date.now();
    this.count.textContent = ++this.#events;
    this.id.textContent = lastEventId || "none";
    prepend(this.list, time(at), element("code", {}, shorten(data)), element("small", {}, lastEventId ? `id ${lastEventId}` : "no id"));
    this.timeline.add(this, "event", `event ${data.length > 80 ? `${data.slice(0, 80)}…` : data}`, this.onEvent?.(data));
  }

  #answer(outcome) {
    if (this.#asked) say(`${this.title} ${outcome}.`);
    this.#asked = false;
  }

  #show(state) {
    this.state.textContent = state;
    this.state.dataset.state = state;
    this.toggle.textContent = `${state === "closed" ? "Reopen" : "Close"} ${this.key}`;
  }
}

const before = []; // letters, the newest first

// showLetter sets the newest letter in large type, and returns it. Data that is no letter (a script may have taken the place of GET /sse) is only listed.
function showLetter(data) {
  let letter;
  try {
    letter = JSON.parse(data).msg;
  } catch {
    return "";
  }
  if (typeof letter !== "string" || [...letter].length !== 1) return "";
  const newest = byId("letters-newest");
  if (newest.textContent) before.unshift(newest.textContent);
  before.length = Math.min(before.length, 40);
  newest.textContent = letter;
  byId("letters-before").textContent = before.join("");
  if (!reducedMotion.matches) newest.animate({ opacity: [.3, 1] }, { duration: 250, easing: "ease-out" });
  return letter;
}

// fault is what is wrong with the JSON in the box, or nothing.
function fault(text) {
  if (!text.trim()) return "There is nothing to post yet: write some JSON.";
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return `This is not JSON: ${error.message}`;
  }
}

// complain shows a fault beside the box, or takes it away.
function complain(text) {
  byId("post-error").textContent = text;
  byId("post-body").setAttribute("aria-invalid", text !== "");
}

// post sends what is in the box, just as it was written: JSON.stringify would round large numbers.
// The answer is a 303 without a Location, which fetch therefore hands over instead of following it; it is no error, though it is not "ok" either.
async function post(body) {
  const answer = await fetch("/post", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body,
    signal: AbortSignal.timeout(10_000),
  });
  return `${answer.status} ${shorten((await answer.text()).trim())}`;
}

// explain says why there was no answer.
function explain(error) {
  if (error.name !== "TimeoutError") return `No answer: ${error.message}`;
  return "No answer within 10 seconds. Where a connection may have only few streams, close one of the two here.";
}

async function submit(event) {
  event.preventDefault();
  const body = byId("post-body");
  const result = byId("post-result");
  const wrong = fault(body.value);
  complain(wrong);
  if (wrong) {
    result.textContent = "";
    body.focus();
    return;
  }
  result.textContent = "Posting…";
  const outcome = await post(body.value).catch(explain);
  result.textContent = `${outcome} (${clock(Date.now())})`; // the time, so that the same answer twice is news
}

function fillInCommands() {
  document.querySelectorAll(".origin").forEach((e) => { e.textContent = location.origin; });
  if (location.protocol !== "https:") document.querySelectorAll(".trust").forEach((e) => e.remove());
}

function main() {
  fillInCommands();
  byId("post-form").addEventListener("submit", submit);
  byId("post-body").addEventListener("input", (event) => {
    if (!fault(event.target.value)) complain(""); // at once when it is right; what is still wrong is not said with every key
  });
  byId("post-body").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    byId("post-form").requestSubmit();
  });
  const timeline = new Timeline(byId("timeline"), byId("timeline-list"));
  new Stream("letters", "Letters", "/sse", timeline, showLetter);
  new Stream("posts", "Posts", "/post", timeline);
}

main();
