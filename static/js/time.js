// Keeps <time data-ago> and <time data-until> true, by the server's clock: a wrong clock on this machine must not
// make a request look alive or late. The words are those of warden_ui.ago_words and left_words.
(() => {
  const served = Date.parse(document.documentElement.dataset.now || "");
  const skew = Number.isNaN(served) ? 0 : served - Date.now();
  const now = () => Date.now() + skew;

  function left(seconds, exact) {
    if (seconds <= 0) return "past";
    const days = Math.floor(seconds / 86400), hours = Math.floor((seconds % 86400) / 3600), minutes = Math.floor((seconds % 3600) / 60);
    if (days) return exact && hours ? `${days} d ${hours} h` : `${days} d`;
    if (hours) return exact && minutes ? `${hours} h ${minutes} min` : `${hours} h`;
    if (minutes >= 10 || !exact) return `${Math.max(minutes, 1)} min`;
    return `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
  }

  function ago(seconds) {
    if (Math.abs(seconds) < 45) return "just now";
    const words = left(Math.abs(seconds), false);
    return seconds > 0 ? `${words} ago` : `in ${words}`;
  }

  function tick() {
    for (const time of document.querySelectorAll("time[data-ago], time[data-until]")) {
      const seconds = Math.trunc((Date.parse(time.dateTime) - now()) / 1000);
      const words = "until" in time.dataset ? left(seconds, true) : ago(-seconds);
      if (time.textContent !== words) time.textContent = words;
      if ("until" in time.dataset) {
        time.classList.toggle("soon", seconds > 0 && seconds < 600);
        time.classList.toggle("late", seconds <= 0);
      }
    }
  }

  tick();
  setInterval(() => { if (!document.hidden) tick(); }, 1000);
  document.addEventListener("visibilitychange", tick);
  document.addEventListener("htmx:after:swap", tick);
})();
