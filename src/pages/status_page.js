// Keeps the page up to date: each event has the whole of it, and only the parts that differ are replaced, so that what the
// reader selects or scrolls stays. Without scripts the page is the state at which it was loaded.
"use strict";

const main = document.querySelector("main");
const lost = document.querySelector("#lost");

function show(html) {
  const fresh = new DOMParser().parseFromString("<main>" + html + "</main>", "text/html").querySelector("main");
  for (const part of fresh.children) {
    const old = document.getElementById(part.id);
    if (old && old.outerHTML === part.outerHTML) continue;
    if (old) old.replaceWith(part.cloneNode(true));
  }
  // Parts have come or gone: then all of them are put in their order.
  const ids = (parent) => Array.from(parent.children, (part) => part.id).join();
  if (ids(main) !== ids(fresh)) main.replaceChildren(...fresh.children);
  const verdict = main.querySelector("h1");
  if (verdict) document.title = verdict.textContent + " - runner";
}

function listen() {
  const events = new EventSource("events");
  events.onmessage = (event) => {
    lost.hidden = true;
    show(event.data);
  };
  events.onerror = () => {
    lost.hidden = false;
    // A browser gives up when it gets another answer than events.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
  };
}

listen();
