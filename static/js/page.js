// Small comforts. Every one of them has a way without JavaScript.
(() => {
  const on = (name, selector, act) =>
    document.addEventListener(name, (event) => {
      const element = event.target.closest?.(selector);
      if (element) act(element, event);
    });

  // What only works with JavaScript is served hidden.
  const reveal = (root) => { for (const element of root.querySelectorAll("[data-copy][hidden], [data-open][hidden]")) element.hidden = false; };
  reveal(document);
  document.addEventListener("htmx:after:swap", () => reveal(document));

  // Copy buttons say that they have copied, and screen readers hear it.
  on("click", "[data-copy]", async (button) => {
    const said = button.querySelector("span:not(.sr-only)");
    const before = said ? said.textContent : button.title;
    const say = (words) => { if (said) said.textContent = words; else button.title = words; announce(words); };
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.classList.add("copied");
      say("Copied");
    } catch {
      say("Press Ctrl+C");
      selectBeside(button);
    }
    setTimeout(() => { button.classList.remove("copied"); if (said) said.textContent = before; else button.title = before; }, 1600);
  });
  function selectBeside(button) {
    const code = button.parentElement.querySelector("code, pre");
    if (code) getSelection().selectAllChildren(code);
  }

  function announce(words) {
    const region = document.getElementById("said");
    if (region) region.textContent = words;
  }

  // Menus close on Escape, on a click elsewhere, and when the focus leaves.
  const close = (menu, focus) => { menu.open = false; if (focus) menu.querySelector("summary").focus(); };
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) close(menu, false);
  });
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && event.target.closest?.("details.menu[open]");
    if (menu) close(menu, true);
  });
  document.addEventListener("focusout", (event) => {
    const menu = event.target.closest?.("details.menu[open]");
    if (menu && event.relatedTarget && !menu.contains(event.relatedTarget)) close(menu, false);
  });

  // <button data-open="id"> opens a <dialog>, [data-close] closes it; the browser gives the focus back.
  on("click", "[data-open]", (button) => document.getElementById(button.dataset.open)?.showModal());
  on("click", "[data-close]", (button) => button.closest("dialog")?.close());

  // The theme changes at once; the form still tells the server.
  on("click", "[data-theme-form] button", (button, event) => {
    event.preventDefault();
    const form = button.form, body = new FormData(form);
    body.set(button.name, button.value);
    document.documentElement.dataset.theme = button.value;
    for (const each of form.querySelectorAll("button")) each.setAttribute("aria-pressed", String(each === button));
    close(form.closest("details"), true);
    fetch(form.action, { method: "POST", body, redirect: "manual" }).catch(() => announce("The theme was not saved"));
  });

  // A form with something typed in it is not left by accident: <form data-guard>.
  const dirty = new Set();
  on("input", "form[data-guard]", (form) => dirty.add(form));
  on("submit", "form", (form) => dirty.delete(form));
  addEventListener("beforeunload", (event) => {
    for (const form of dirty) if (form.isConnected) event.preventDefault();
  });

  // A button pressed twice sends once. The server holds this too; here it spares the second page.
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.target.method === "dialog") return;
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    event.target.dataset.sent = "1";
    setTimeout(() => delete event.target.dataset.sent, 4000);
  });

  // After an error the summary takes the focus, so that it is read first.
  document.querySelector("[data-autofocus]")?.focus();

  // A failed fragment leaves the page as it was and says so.
  document.addEventListener("htmx:response:error", (event) => {
    const status = event.detail?.ctx?.response?.status;
    if (status === 403 || status >= 500) fail("That did not work; nothing was changed. Reload the page and try again.");
  });
  document.addEventListener("htmx:error", () => fail("Warden could not be reached; nothing was changed."));
  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    fail("The passkey or key was not used: it was cancelled, took too long, or does not belong here. Try again.");
  });
  function fail(words) {
    const region = document.getElementById("messages");
    if (!region) return;
    const note = document.createElement("div");
    note.className = "note note-error";
    note.textContent = words;
    region.replaceChildren(note);
  }
})();
