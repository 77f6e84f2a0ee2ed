// "Send a test request": one check through the agents' own door, with the key that this page has just shown.
(() => {
  const box = document.querySelector("[data-try]");
  if (!box) return;
  const button = box.querySelector("[data-try-send]"), said = box.querySelector("[data-try-said]");
  button.hidden = false;
  said.textContent = "";

  button.addEventListener("click", async () => {
    button.disabled = true;
    said.textContent = "Asking …";
    try {
      const answer = await fetch(box.dataset.path, {
        method: "POST",
        headers: { ...credential(box.dataset), "Content-Type": "application/json" },
        body: box.dataset.body,
        credentials: "omit",
        cache: "no-store",
      });
      const told = await answer.json();
      said.textContent = answer.ok ? words(told) : `Refused (${answer.status}): ${told.detail ?? told.error?.message}`;
    } catch {
      said.textContent = "Warden cannot be reached from this browser. Run the snippet instead.";
    } finally {
      button.disabled = false;
      document.getElementById("arrived")?.dispatchEvent(new CustomEvent("arrived"));
    }
  });

  // AAP asks under a key of its own each time; see docs/aap.md.
  function credential({ path, try: key }) {
    if (!path.startsWith("/aap/")) return { "X-API-Key": key };
    return { Authorization: `Bearer ${key}`, "Idempotency-Key": `connect-${Date.now()}-${Math.random()}` };
  }

  function words(told) {
    const why = told.reason ?? told.decision?.note;
    if (told.allowed === true || told.status === "approved") return `Allowed: ${why}`;
    return told.status === "pending" ? "It waits for a person: see the inbox." : `Denied: ${why}`;
  }
})();
