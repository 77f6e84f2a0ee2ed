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
      const answer = await fetch("/sdk/check", {
        method: "POST",
        headers: { "X-API-Key": box.dataset.try, "Content-Type": "application/json" },
        body: box.dataset.body,
        credentials: "omit",
        cache: "no-store",
      });
      const told = await answer.json();
      said.textContent = answer.ok ? words(told) : `Refused (${answer.status}): ${told.detail}`;
    } catch {
      said.textContent = "Warden cannot be reached from this browser. Run the snippet instead.";
    } finally {
      button.disabled = false;
      document.getElementById("arrived")?.dispatchEvent(new CustomEvent("arrived"));
    }
  });

  function words(told) {
    if (told.allowed === true) return `Allowed: ${told.reason}`;
    return told.requires_approval === true ? "It waits for a person: see the inbox." : `Denied: ${told.reason}`;
  }
})();
