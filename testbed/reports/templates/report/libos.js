// SPDX-License-Identifier: MIT
// What a case of a LibOS has more: the same case on the oracle, and how long its round trips took.
function oracleSection(oracle) {
  const row = Array.from(document.querySelectorAll("a.row")).find((other) => decodeURIComponent(other.getAttribute("href")) === "#" + oracle.id);
  const name = row ? el("a", { href: row.getAttribute("href") }, oracle.name) : oracle.name;
  return [el("p", { class: "v-" + oracle.verdict.replace(/ /g, "-") }, "The same case on ", name, ", which is Linux behind the queue API: ", badge(oracle.verdict)),
    oracle.reason ? el("p", { class: "muted" }, oracle.reason) : null].filter(Boolean);
}

function latencySection(latency) {
  const head = el("tr", null, el("th", null, "of"), latency.percents.map((percent) => el("th", null, percent)), el("th", null, "round trips"));
  const rows = latency.rows.map((row) => el("tr", null, el("th", null, drawing(row.key), " ", row.name), row.values.map((value) => el("td", null, value)), el("td", null, row.count.toLocaleString("en"))));
  return [drawing(latency.svg), el("table", { class: "percentiles" }, el("thead", null, head), el("tbody", null, rows))];
}
