// What HTML cannot do, for every page. Each page works without it.

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1500);
  });
}

// What stands on the page once, as a file: it never leaves the browser.
for (const button of document.querySelectorAll("[data-download]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([button.dataset.download], { type: "text/csv" }));
    link.download = button.dataset.filename;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

for (const button of document.querySelectorAll("[data-theme-toggle]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const chosen = document.documentElement.dataset.bsTheme === "dark" ? "light" : "dark";
    document.documentElement.dataset.bsTheme = chosen;
    document.cookie = `portal_theme=${chosen}; path=/; max-age=31536000; samesite=lax`;
  });
}

// A checkbox in a table's head chooses all rows of the page; the bulk bar counts what is chosen.
for (const all of document.querySelectorAll("[data-select-all]")) {
  const boxes = [...all.closest("table").querySelectorAll(`input[type=checkbox][name="${all.dataset.selectAll}"]:not(:disabled)`)];
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    all.form?.dispatchEvent(new Event("change"));
  });
}
for (const counter of document.querySelectorAll("[data-count]")) {
  const form = counter.closest("form");
  const count = () => {
    counter.textContent = form.querySelectorAll(`input[type=checkbox][name="${counter.dataset.count}"]:checked`).length;
  };
  form.addEventListener("change", count);
  count();
}

// A form that sends itself: the sign-on to an account. Its button is there for browsers without scripts.
document.querySelector("form[data-auto-submit]")?.submit();

// A part of the page that is fetched again until it says that it is settled (task progress). Only what changed is
// exchanged, and the focus and what was scrolled sideways stay where they were.
const nameOf = (element) => element.id || [element.tagName, element.name, element.getAttribute("href"), element.form?.getAttribute("action")].join(" ");
const exchange = (part, html) => {
  const scrolled = [...part.querySelectorAll(".table-wrap")].map((wrap) => wrap.scrollLeft);
  const focused = part.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  part.innerHTML = html;
  part.querySelectorAll(".table-wrap").forEach((wrap, number) => { wrap.scrollLeft = scrolled[number] ?? 0; });
  if (focused === null) return;
  const again = [...part.querySelectorAll("a[href], button, input, select, summary")].find((element) => nameOf(element) === focused);
  if (!again) part.tabIndex = -1;
  (again ?? part).focus({ preventScroll: true });
};
for (const part of document.querySelectorAll("[data-poll]")) {
  let last = null;
  const refresh = async () => {
    if (part.querySelector("[data-settled]")) return;
    const answer = await fetch(part.dataset.poll, { headers: { "X-Fragment": "1" } }).catch(() => null);
    if (answer?.ok) {
      const html = await answer.text();
      const said = html.replace(/(name="csrf_token" value=)"[^"]*"/g, "$1");
      if (said !== last) exchange(part, html);
      last = said;
    }
    setTimeout(refresh, 2000);
  };
  setTimeout(refresh, 1000);
}

// Rows that match what is typed stay; for short lists that are on the page as a whole.
for (const input of document.querySelectorAll("[data-filter]")) {
  const rows = [...document.querySelectorAll(input.dataset.filter)];
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every((word) => (row.dataset.text ?? row.textContent).toLowerCase().includes(word));
    input.parentElement.classList.toggle("filtered-out", rows.every((row) => row.hidden));
  });
}

for (const link of document.querySelectorAll("[data-back]")) {
  if (history.length > 1) link.addEventListener("click", (event) => { event.preventDefault(); history.back(); });
}

document.querySelector("[data-focus]")?.focus();
