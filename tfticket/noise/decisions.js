"use strict";

// Decisions of a person about label issues: by keys or by mouse, kept over a reload, saved as CSV.
const KEY = `tfticket labels ${JSON.parse(document.getElementById("key").textContent)}`;
const COLUMNS = ["id", "file", "given_name", "suggested_name", "decision", "label_name"];
const WORDS = { confirm: "confirmed", correct: "corrected", reject: "rejected" };
const FORMULA = /^[=+\-@\t\r\n]/; // what a spreadsheet would compute; numbers stay numbers
const NUMBER = /^[+-](\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?$|^[+-](inf|infinity|nan)$/i;

const cards = [...document.querySelectorAll(".card")];
const classes = new Set([...document.querySelectorAll("#classes option")].map((each) => each.value));
const [bar, count, save, discard, keys] = ["bar", "count", "save", "discard", "keys"].map((id) => document.getElementById(id));
const decided = new Map(); // card to { decision, label }
let current = -1;
let kept = true; // whether the browser keeps them over a reload

function recall() {
  try {
    const known = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    for (const card of cards) {
      const { decision, label } = known[card.dataset.id] ?? {};
      if (decision in WORDS && typeof label === "string") decided.set(card, { decision, label });
    }
  } catch {
    kept = false; // a page from a file has no storage in some browsers
  }
}

function remember() {
  const known = Object.fromEntries([...decided].map(([card, each]) => [card.dataset.id, each]));
  try {
    localStorage.setItem(KEY, JSON.stringify(known));
  } catch {
    kept = false;
  }
}

function decide(card, decision, label = "") {
  const { given, suggested } = card.dataset;
  if (!classes.has(label)) label = label.trim();
  if (decision === "correct" && label === suggested) decision = "confirm";
  if (decision === "correct" && label === given) decision = "reject";
  if (decision === null || (decision === "correct" && !label)) decided.delete(card);
  else decided.set(card, { decision, label: decision === "correct" ? label : "" });
  remember();
  show(card);
  tell();
}

function show(card) {
  const { decision, label } = decided.get(card) ?? {};
  const { given, suggested } = card.dataset;
  card.classList.toggle("decided", Boolean(decision));
  for (const button of card.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.value === decision));
  }
  card.querySelector("input").value = label ?? "";
  card.querySelector(".word").textContent = !decision ? "" : {
    confirm: `Confirmed: ${suggested}`,
    correct: `Corrected: ${label}${classes.has(label) ? "" : ", a new class"}`,
    reject: given ? `Rejected: ${given} stays` : "Rejected: stays without a label",
  }[decision];
}

function tell() {
  const parts = Object.entries(WORDS).map(([decision, word]) => {
    const found = [...decided.values()].filter((each) => each.decision === decision).length;
    return found ? `${found} ${word}` : "";
  }).filter(Boolean);
  count.textContent = `${decided.size} of ${cards.length} decided${parts.length ? `: ${parts.join(", ")}` : ""}`;
  save.disabled = discard.disabled = decided.size === 0;
}

function cell(value) {
  const plain = FORMULA.test(value) && !NUMBER.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

function table() {
  const rows = cards.filter((card) => decided.has(card)).map((card) => {
    const { id, file, given, suggested } = card.dataset;
    const { decision, label } = decided.get(card);
    return [id, file, given, suggested, decision, label];
  });
  return [COLUMNS, ...rows].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

function go(place) {
  if (place < 0 || place >= cards.length) return;
  cards[place].focus({ preventScroll: true });
  cards[place].scrollIntoView({ block: "nearest" });
}

function mark(card) {
  if (cards[current]) cards[current].classList.remove("current");
  current = cards.indexOf(card);
  card.classList.add("current");
}

const ACTIONS = {
  j: () => go(current + 1),
  k: () => go(current - 1),
  c: (card) => { decide(card, "confirm"); go(current + 1); },
  x: (card) => { decide(card, "reject"); go(current + 1); },
  u: (card) => decide(card, null),
  e: (card) => {
    const input = card.querySelector("input");
    input.focus();
    input.select();
  },
};

addEventListener("keydown", (event) => {
  const typing = event.target.matches?.("input[type=text]");
  if (!keys.checked || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = ACTIONS[event.key];
  if (!act) return;
  event.preventDefault();
  if (current < 0 && event.key !== "j") go(0);
  else act(cards[current]);
});

const controls = document.getElementById("controls").content;
for (const card of cards) {
  card.append(controls.cloneNode(true));
  const input = card.querySelector("input");
  card.addEventListener("focusin", () => mark(card));
  card.addEventListener("click", (event) => {
    if (!event.target.closest("button, input")) return mark(card);
    const button = event.target.closest("button");
    if (button) decide(card, decided.get(card)?.decision === button.value ? null : button.value);
  });
  input.addEventListener("change", () => decide(card, "correct", input.value));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { decide(card, "correct", input.value); go(cards.indexOf(card) + 1); }
    if (event.key === "Escape") { show(card); card.focus(); }
  });
}

save.addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
  link.download = "decisions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
discard.addEventListener("click", () => {
  if (!confirm(`Discard ${decided.size} decisions?`)) return;
  decided.clear();
  remember();
  cards.forEach(show);
  tell();
});
keys.addEventListener("change", () => keys.closest("p").classList.toggle("off", !keys.checked));
addEventListener("beforeunload", (event) => { if (!kept && decided.size) event.preventDefault(); });

recall();
cards.forEach(show);
tell();
bar.hidden = false;
