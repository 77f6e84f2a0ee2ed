// <div data-live-url="/…?since=…" data-live-href="/…"> asks every three seconds whether something new has come and offers it
// as a button, "2 new". Nothing moves until the person presses it. Answer: {"new": 2, "waiting": 14}, or 204 for nothing.
// A hidden tab asks five times less often; a log-out or a refusal ends the asking.
(() => {
  const EVERY = 3000, HIDDEN = 5, WORST = 60000;

  for (const region of document.querySelectorAll("[data-live-url]")) watch(region);

  function watch(region) {
    let timer = 0, wait = EVERY, busy = false, ended = false;
    const later = () => { timer = setTimeout(ask, document.hidden ? wait * HIDDEN : wait); };

    async function ask() {
      if (busy || ended || !region.isConnected) return;
      busy = true;
      try {
        const answer = await fetch(region.dataset.liveUrl, { headers: { Accept: "application/json" }, redirect: "manual", cache: "no-store" });
        if (answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 403) {
          ended = true;
          return say(region, "You are logged out. Reload to go on.", true);
        }
        if (!answer.ok) throw new Error(String(answer.status));
        if (answer.status === 200) show(region, await answer.json());
        wait = EVERY;
        region.removeAttribute("data-stale");
      } catch {
        wait = Math.min(wait * 2, WORST);
        region.setAttribute("data-stale", "");
        if (wait >= EVERY * 8) say(region, "Not up to date: Warden cannot be reached.", false);
      } finally {
        busy = false;
      }
      later();
    }

    document.addEventListener("visibilitychange", () => { if (!document.hidden) { clearTimeout(timer); ask(); } });
    later();
  }

  function show(region, answer) {
    const count = Number(answer.new) || 0;
    if ("waiting" in answer) {
      for (const badge of document.querySelectorAll("[data-waiting]")) {
        badge.hidden = !answer.waiting;
        badge.querySelector("[data-number]").textContent = answer.waiting > 999 ? "999+" : answer.waiting;
      }
    }
    region.dispatchEvent(new CustomEvent("live", { detail: answer, bubbles: true }));
    if (count === Number(region.dataset.count || 0)) return;
    region.dataset.count = count;
    say(region, count ? `${count} ${region.dataset.liveWord || "new"}` : "", count > 0);
  }

  function say(region, words, isLink) {
    region.replaceChildren();
    if (!words) return;
    const element = document.createElement(isLink ? "a" : "span");
    if (isLink) {
      element.href = region.dataset.liveHref || location.href;
      element.className = "btn btn-small live-new";
    } else {
      element.className = "muted small";
    }
    element.textContent = words;
    region.append(element);
  }
})();
