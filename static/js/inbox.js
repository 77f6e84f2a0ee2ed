// The list beside the request that is read. Without this, or on a narrow screen, every row is a link to a page.
(() => {
  const wide = matchMedia("(min-width: 75rem)");
  const pane = document.getElementById("pane");
  if (!pane) return;
  const links = () => [...document.querySelectorAll(".rows a[data-pane]")];
  const address = (id) => { const url = new URL(location.href); url.searchParams.set("open", id); return url; };

  // On a narrow screen a row opens its page: htmx does not get to see the click.
  document.addEventListener("click", (event) => {
    if (!wide.matches && event.target.closest?.("a[data-pane]")) event.stopImmediatePropagation();
  }, true);

  function mark() {
    const id = pane.querySelector("[data-approval]")?.dataset.approval;
    for (const link of links()) {
      if (link.dataset.pane === id) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    }
    return id;
  }

  document.addEventListener("htmx:after:swap", () => {
    const id = mark();
    if (id && id !== new URL(location.href).searchParams.get("open")) history.replaceState(history.state, "", address(id));
  });

  // A log-out answers a fragment with the log-in page: show that as a page.
  document.addEventListener("htmx:before:swap", (event) => {
    if (event.detail?.ctx?.response?.raw?.redirected) { event.preventDefault(); location.reload(); }
  });

  function fit() {
    if (wide.matches) pane.hidden = false;
    else if (!new URL(location.href).searchParams.has("open")) pane.hidden = true;
  }
  wide.addEventListener("change", fit);
  fit();
  // The first request is there to read at once; nothing is focused, nothing is decided.
  if (wide.matches && !pane.querySelector("[data-approval]") && links()[0]) htmx.ajax("GET", links()[0].href, { target: "#pane", swap: "innerHTML" });

  // What was decided elsewhere, or ended, says so in its place: rows never move under the cursor.
  document.addEventListener("live", (event) => {
    for (const [id, badge] of Object.entries(event.detail.ended ?? {})) {
      const state = document.getElementById(`state-${id}`);
      if (state && state.innerHTML.trim() !== badge.trim()) state.innerHTML = badge;
      const open = pane.querySelector(`[data-approval="${id}"][data-state="pending"]`);
      const note = open?.querySelector("#changed");
      if (note && !note.hasChildNodes()) {
        const link = document.createElement("a");
        link.href = `/approvals/${id}`;
        link.textContent = "Show what happened";
        link.addEventListener("click", (click) => {
          if (!wide.matches) return;
          click.preventDefault();
          htmx.ajax("GET", link.href, { target: "#pane", swap: "innerHTML" });
        });
        note.className = "note note-warning";
        note.append("This request has just ended. ", link);
      }
    }
  });
})();
