// What pages do better with JavaScript: copy a number, say when live updates have stopped, start the design system's
// parts and htmx's way of moving between pages. Nothing here is needed to read or to act.

const self = document.getElementById("openspine-script");

// The design system's parts look for these classes before they change anything.
if (self.dataset.design) {
  document.body.classList.add("js-enabled", "nhsuk-frontend-supported");
  import(self.dataset.design).then((design) => {
    design.initAll();
    self.dataset.begun = "yes"; // from now on it moves the focus no more
    document.addEventListener("htmx:afterSettle", (event) => design.initAll({ scope: event.target }));
  });
}

// Copy buttons are hidden until there is something that can copy.
function prepareCopy(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("[data-copy][hidden]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const label = button.textContent;
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = self.dataset.copied;
      announce(self.dataset.copied);
      setTimeout(() => { button.textContent = label; }, 2000);
    });
  }
}

function announce(text) {
  let region = document.getElementById("openspine-said");
  if (!region) {
    region = document.createElement("p");
    region.id = "openspine-said";
    region.className = "nhsuk-u-visually-hidden os-hidden";
    region.setAttribute("role", "status");
    document.querySelector("main").append(region);
  }
  region.textContent = text;
}

// placeOf finds a link, a button or a field again after its part was drawn anew.
function placeOf(e) {
  const is = (name) => (e.hasAttribute(name) ? `[${name}="${CSS.escape(e.getAttribute(name))}"]` : "");
  return e.localName + is("id") + is("href") + is("name") + is("value");
}

// <section data-live="/board/events" data-live-fetch="/board"> is drawn again whenever the server says so. When the line
// is lost the page says so, and since when; the browser reconnects by itself.
function listen(section) {
  const status = document.querySelector("[data-live-status]");
  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: "Europe/London" });
  let right = new Date();
  const source = new EventSource(section.dataset.live);
  source.onopen = () => { right = new Date(); if (status) status.textContent = ""; };
  source.onmessage = () => {
    right = new Date();
    const from = section.dataset.liveFetch;
    if (!window.htmx || !from) return;
    // A list that was narrowed since stands in the address; whoever was at a link or a button stays there.
    const url = from.split("?")[0] === location.pathname ? location.pathname + location.search : from;
    const at = section.contains(document.activeElement) ? placeOf(document.activeElement) : "";
    window.htmx.ajax("GET", url, { target: section, swap: "innerHTML" }).then(() => {
      if (at && document.activeElement === document.body) section.querySelector(at)?.focus({ preventScroll: true });
    });
  };
  source.onerror = () => { if (status) status.textContent = self.dataset.paused.replace("{0}", clock.format(right)); };
  window.addEventListener("pagehide", () => source.close());
}

prepareCopy(document);
document.addEventListener("htmx:afterSettle", (event) => {
  prepareCopy(event.target);
  const count = event.target.querySelector(".os-list__count, .os-empty__text");
  if (count) announce(count.textContent.trim());
});
for (const section of document.querySelectorAll("[data-live]")) listen(section);
