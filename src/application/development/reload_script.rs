//! The script of pages that reload themselves.

/// Reloads the page when runner has another version of the application than the one that made it, and shows at its foot
/// why a change could not be applied. It loads its events from beside itself, and knows its version from its element.
pub(super) const SCRIPT: &str = r##"(() => {
  const own = document.currentScript;
  const version = own.dataset.version;
  const events = new URL("reload", own.src);
  let source, banner;

  function show(text) {
    hide();
    banner = document.createElement("pre");
    banner.textContent = text;
    banner.title = "runner launch: click to close";
    banner.onclick = hide;
    Object.assign(banner.style, {
      position: "fixed", left: "0", right: "0", bottom: "0", zIndex: "2147483647", margin: "0", padding: "1em",
      maxHeight: "50vh", overflow: "auto", whiteSpace: "pre-wrap", textAlign: "left", cursor: "pointer",
      font: "14px/1.4 monospace", color: "#fff", background: "#a00",
    });
    document.documentElement.append(banner);
  }

  function hide() {
    if (banner) banner.remove();
    banner = undefined;
  }

  function reload(wanted) {
    // A page from a cache stays old: it is reloaded once for each version.
    const key = "runner-reload";
    if (sessionStorage.getItem(key) === wanted + location.href) return;
    sessionStorage.setItem(key, wanted + location.href);
    location.reload();
  }

  function connect() {
    if (source || document.hidden) return;
    source = new EventSource(events);
    source.addEventListener("version", event => event.data === version ? hide() : reload(event.data));
    source.addEventListener("failure", event => show(event.data));
  }

  function disconnect() {
    if (source) source.close();
    source = undefined;
  }

  // A browser has few connections to a server: pages that are not seen need none.
  document.addEventListener("visibilitychange", () => document.hidden ? disconnect() : connect());
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", connect);
  connect();
})();
"##;
