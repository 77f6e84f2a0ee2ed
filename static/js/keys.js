// Keyboard shortcuts. Every one has a visible control, none decides anything, and a switch turns them all off.
(() => {
  const OFF = "warden.keys.off";
  const toggle = document.querySelector("[data-keys-switch]");
  const isOff = () => { try { return localStorage.getItem(OFF) === "1"; } catch { return false; } };
  if (toggle) {
    toggle.checked = !isOff();
    toggle.addEventListener("change", () => {
      try { if (toggle.checked) localStorage.removeItem(OFF); else localStorage.setItem(OFF, "1"); } catch { toggle.checked = true; }
      for (const hint of document.querySelectorAll(".keys")) hint.hidden = !toggle.checked;
    });
    if (isOff()) for (const hint of document.querySelectorAll(".keys")) hint.hidden = true;
  }

  const rows = () => [...document.querySelectorAll(".rows .what a, [data-rows] a[data-row]")].filter((link) => link.offsetParent);
  function step(by) {
    const links = rows();
    if (!links.length) return;
    const here = links.findIndex((link) => link === document.activeElement || link.closest(".row")?.matches("[aria-current]"));
    const at = links.indexOf(document.activeElement) >= 0 ? links.indexOf(document.activeElement) : here;
    const next = links[Math.min(Math.max(at + by, 0), links.length - 1)];
    next.focus();
  }
  const goTo = (label) => [...document.querySelectorAll(".rail a")].find((link) => link.textContent.trim().startsWith(label))?.click();
  // a and d only bring the person to the form: its button is focused, never pressed.
  function openForm(verdict) {
    const target = document.querySelector(`[data-decide="${verdict}"]`);
    if (!target) return;
    if (target.tagName === "DETAILS") target.open = true;
    const focusable = target.matches("button, input, textarea, a") ? target : target.querySelector("textarea, input:not([type=hidden]), button");
    focusable?.focus();
  }

  let chord = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isOff()) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]")) return;
    const wasChord = Date.now() - chord < 1200;
    chord = 0;
    let handled = true;
    if (wasChord && event.key === "i") goTo("Inbox");
    else if (wasChord && event.key === "a") goTo("Agents");
    else if (event.key === "g") chord = Date.now();
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "/") document.querySelector("[data-search]")?.focus();
    else if (event.key === "?") document.getElementById("keys")?.showModal();
    else if (event.key === "a") openForm("approve");
    else if (event.key === "d") openForm("deny");
    else handled = false;
    if (handled) event.preventDefault();
  });
})();
