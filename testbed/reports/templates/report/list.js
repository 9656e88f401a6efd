// SPDX-License-Identifier: MIT
// The list of cases: filter, search, order, and which one is next.
const LIST = document.getElementById("list");
const ROWS = Array.from(LIST.querySelectorAll("a.row"));
const SEARCH = document.getElementById("search");
const SUITE = document.getElementById("suite");
const ORDER = document.getElementById("order");
const CHIPS = Array.from(document.querySelectorAll(".chip"));
const VERDICTS = Object.keys(PAGE.symbols);
const WORDS = ROWS.map((row) => row.textContent.toLowerCase());

function visibleRows() {
  return Array.from(LIST.children).filter((item) => !item.hidden).map((item) => item.firstElementChild);
}

function filterRows() {
  const words = SEARCH.value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = new Set(CHIPS.filter((chip) => chip.getAttribute("aria-pressed") === "true").map((chip) => chip.dataset.verdict));
  let left = 0;
  ROWS.forEach((row, index) => {
    const fits = (!wanted.size || wanted.has(row.dataset.verdict)) && (!SUITE.value || row.dataset.suite === SUITE.value)
      && words.every((word) => WORDS[index].includes(word));
    row.parentElement.hidden = !fits;
    left += fits;
  });
  document.getElementById("shown-count").value = left === ROWS.length ? count(left, "case") : `${left} of ${count(ROWS.length, "case")}`;
}

function orderRows() {
  const keys = {
    run: (row) => +row.dataset.index,
    bad: (row) => -VERDICTS.indexOf(row.dataset.verdict),
    wall: (row) => -row.dataset.wall,
    virtual: (row) => -row.dataset.virtual,
  };
  const key = keys[ORDER.value];
  LIST.append(...ROWS.slice().sort((a, b) => key(a) - key(b) || a.dataset.index - b.dataset.index).map((row) => row.parentElement));
}

function step(by) {
  const rows = visibleRows();
  if (!rows.length) return;
  const here = rows.indexOf(document.activeElement);
  const current = here >= 0 ? here : rows.findIndex((row) => row.getAttribute("aria-current"));
  const next = rows[current < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, current + by))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
  if (document.body.classList.contains("opened")) location.hash = next.getAttribute("href");
}

function chooseSuite(name) {
  SUITE.value = name;
  filterRows();
  document.body.classList.remove("whole");
  LIST.focus();
}

SEARCH.addEventListener("input", filterRows);
SUITE.addEventListener("change", filterRows);
ORDER.addEventListener("change", orderRows);
for (const chip of CHIPS) chip.addEventListener("click", () => {
  chip.setAttribute("aria-pressed", chip.getAttribute("aria-pressed") === "true" ? "false" : "true");
  filterRows();
});
for (const button of document.querySelectorAll(".suites button")) button.addEventListener("click", () => chooseSuite(button.dataset.suite));
