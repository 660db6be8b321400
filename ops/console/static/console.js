// The live parts, and the link that `penstock up` prints. Everything else works without.
"use strict";

// A token after the # never leaves the browser but in the form.
const signIn = document.getElementById("sign-in");
function signInByLink() {
  if (location.hash.startsWith("#pcon_")) {
    signIn.elements.token.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
    signIn.requestSubmit();
  }
}
if (signIn) {
  signInByLink();
  addEventListener("hashchange", signInByLink);
}

// Replaces the parts that differ and nothing else, so that focus and selection stay where they are.
function show(place, html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  const parts = [...fresh.content.querySelectorAll("[data-part]")];
  const known = new Map([...place.querySelectorAll("[data-part]")].map((p) => [p.dataset.part, p]));
  if (parts.length !== known.size || parts.some((part) => !known.has(part.dataset.part))) {
    place.replaceChildren(fresh.content);
    return;
  }
  for (const part of parts) {
    const old = known.get(part.dataset.part);
    if (old.outerHTML !== part.outerHTML && !old.contains(document.activeElement)) {
      old.replaceWith(part);
    }
  }
}

for (const place of document.querySelectorAll("[data-live]")) {
  const state = document.querySelector("[data-live-state]");
  const say = (words) => {
    if (state && state.textContent !== words) {
      state.textContent = words;
    }
  };
  const source = new EventSource(place.dataset.live);
  source.onmessage = (event) => {
    say("live");
    show(place, event.data);
  };
  source.onerror = () => say("not live: trying again");
  // What was watched is over, or nobody is signed in any more: the page itself says which.
  source.addEventListener("over", () => {
    source.close();
    location.reload();
  });
  addEventListener("pagehide", () => source.close());
}
