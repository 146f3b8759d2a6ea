"use strict";

// What a mark of a figure says to screen readers is shown under the pointer, or the finger.
const tip = document.body.appendChild(document.createElement("div"));
tip.className = "tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true");

function show(mark, event) {
  tip.textContent = mark.getAttribute("aria-label").replaceAll("; ", "\n");
  tip.hidden = false;
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  const above = event.clientY - tip.offsetHeight - 14;
  tip.style.left = `${Math.max(8, Math.min(room, event.clientX - tip.offsetWidth / 2))}px`;
  tip.style.top = `${above > 8 ? above : event.clientY + 18}px`;
}

const REACH = 14; // pixels from the pointer to the middle of a mark

for (const figure of document.querySelectorAll("figure")) {
  let middles = [];
  figure.addEventListener("pointerenter", () => {
    middles = [...figure.querySelectorAll("path[aria-label]")].map((mark) => {
      const box = mark.getBoundingClientRect();
      return [mark, box.left + box.width / 2 + scrollX, box.top + box.height / 2 + scrollY];
    });
  });
  figure.addEventListener("pointermove", (event) => {
    let [nearest, least] = [null, REACH];
    for (const [mark, x, y] of middles) {
      const distance = Math.hypot(event.pageX - x, event.pageY - y);
      if (distance < least) [nearest, least] = [mark, distance];
    }
    if (nearest) show(nearest, event);
    else tip.hidden = true;
  });
  figure.addEventListener("pointerleave", () => { tip.hidden = true; });
}
addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

// Tables sort by a click on a heading: rising, falling, as they were.
const UNITS = { "µs": 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600, d: 86400, B: 1, kB: 1e3, MB: 1e6, GB: 1e9 };

function text(cell) {
  const copy = cell.cloneNode(true);
  copy.querySelectorAll("small").forEach((detail) => detail.remove());
  return copy.textContent.trim();
}

function quantity(cell) {
  if (cell.dataset.value) return Number(cell.dataset.value);
  const plain = text(cell).replace(/[\u202f,]/g, "").replace(/\u2212/g, "-");
  const parts = [...plain.matchAll(/([-+]?\d+(?:\.\d+)?)\s*([µa-zA-Z]*)/g)];
  const timed = parts.length > 1 && parts.every(([, , unit]) => unit in UNITS); // 2 min 31 s
  return (timed ? parts : parts.slice(0, 1))
    .reduce((sum, [, digits, unit]) => (sum ?? 0) + Number(digits) * (UNITS[unit] ?? 1), null);
}

function compare(place, numeric) {
  if (!numeric) {
    return (one, other) => text(one.cells[place]).localeCompare(text(other.cells[place]), "en", { numeric: true });
  }
  return (one, other) => quantity(one.cells[place]) - quantity(other.cells[place]);
}

function makeSortable(table) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, place) => {
    if (heading.tagName !== "TH") return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: null }[heading.getAttribute("aria-sort")];
      const order = next === undefined ? "ascending" : next;
      headings.forEach((each) => each.removeAttribute("aria-sort"));
      let rows = original;
      if (order) {
        heading.setAttribute("aria-sort", order);
        const numeric = !heading.classList.contains("text");
        const known = original.filter((row) => !numeric || quantity(row.cells[place]) !== null);
        known.sort(compare(place, numeric));
        if (order === "descending") known.reverse();
        rows = [...known, ...original.filter((row) => !known.includes(row))]; // those without a number last
      }
      body.append(...rows);
    });
  });
}

function makeFilterable(table) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  label.className = "filter";
  input.type = "search";
  label.append("Filter rows ", input);
  table.closest(".scroll").before(label);
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase().split(/\s+/);
    for (const row of table.tBodies[0].rows) {
      const found = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => found.includes(word));
    }
  });
}

for (const table of document.querySelectorAll("table")) {
  const rows = table.tBodies[0].rows.length;
  if (rows > 2) makeSortable(table);
  if (rows > 7) makeFilterable(table);
}
