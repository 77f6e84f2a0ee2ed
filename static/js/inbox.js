// The list beside the request that is read. Without this, or on a narrow screen, every row is a link to a page.
(() => {
  const wide = matchMedia("(min-width: 75rem)");
  const pane = document.getElementById("pane");

  // Where the focus goes once a fragment has come: to what is typed next, with what is read left where it is; or to a
  // result, at the top.
  const scroller = () => (pane && wide.matches ? pane : document.scrollingElement);
  let place = 0;
  document.addEventListener("htmx:before:swap", () => { place = scroller().scrollTop; });
  document.addEventListener("htmx:after:swap", (event) => {
    if (event.target.closest?.("[data-still]")) return; // it says what is typed beside it: the focus stays there
    const said = document.querySelector("#conversation [data-said]"); // the conversation alone came anew
    if (said) {
      said.removeAttribute("data-said");
      return said.focus();
    }
    const target = document.querySelector("#approval [data-focus]");
    if (!target) return;
    target.focus({ preventScroll: true });
    if (target.dataset.focus !== "top") scroller().scrollTop = place;
    else if (scroller() === pane) pane.scrollTop = 0;
    else target.scrollIntoView({ block: "center" });
  });

  // The bar to decide with is always in sight: typing in it must not scroll what is read out from above it.
  const still = (padding) => { for (const box of [pane, document.documentElement]) if (box) box.style.scrollPaddingBottom = padding; };
  document.addEventListener("focusin", (event) => still(event.target.closest?.(".decide") ? "0px" : ""));
  document.addEventListener("focusout", () => still(""));

  // A log-out answers a fragment with the log-in page: show that as a page.
  document.addEventListener("htmx:before:swap", (event) => {
    if (event.detail?.ctx?.response?.raw?.redirected) { event.preventDefault(); location.reload(); }
  });

  if (!pane) return;
  const links = () => [...document.querySelectorAll(".rows a[data-pane]")];
  const opened = () => new URL(location.href).searchParams.get("open");

  // On a narrow screen a row opens its page: htmx does not get to see the click.
  document.addEventListener("click", (event) => {
    if (!wide.matches && event.target.closest?.("a[data-pane]")) event.stopImmediatePropagation();
  }, true);

  // The address names the open request, so that a reload, or a colleague, sees it.
  document.addEventListener("htmx:after:swap", () => {
    const id = pane.querySelector("[data-approval]")?.dataset.approval;
    for (const link of links()) {
      if (link.dataset.pane === id) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    }
    if (!id || id === opened()) return;
    const address = new URL(location.href);
    address.searchParams.set("open", id);
    history.replaceState(history.state, "", address);
  });

  const load = (href) => htmx.ajax("GET", href, { target: "#pane", swap: "innerHTML" });
  function fit() {
    if (wide.matches) pane.hidden = false;
    else if (!opened()) pane.hidden = true;
  }
  wide.addEventListener("change", fit);
  fit();
  // The first request is there to be read at once; nothing is focused, nothing is decided.
  if (wide.matches && !pane.querySelector("[data-approval]") && links()[0]) load(links()[0].href);

  // What ended elsewhere says so in its place: rows never move under the cursor, and what is typed stays.
  document.addEventListener("live", (event) => {
    for (const [id, badge] of Object.entries(event.detail.ended ?? {})) {
      const state = document.getElementById(`state-${id}`);
      if (state && state.innerHTML.trim() !== badge) state.innerHTML = badge;
      const note = pane.querySelector(`[data-approval="${id}"][data-state="pending"] #changed`);
      if (!note?.hidden) continue;
      note.hidden = false;
      const link = document.createElement("a");
      link.href = `/approvals/${id}`;
      link.textContent = "See what happened";
      link.addEventListener("click", (click) => { if (wide.matches) { click.preventDefault(); load(link.href); } });
      note.append("This request has ended meanwhile. ", link);
    }
  });
})();
