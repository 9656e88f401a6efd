// SPDX-License-Identifier: MIT
// What else a record holds: commands, the kernel's words, digests, files.
function commandTable(data) {
  const body = el("tbody", null, data.commands.map(([name, words, start, end]) => el("tr", null, el("td", { class: "num" }, seconds(start)), el("td", { class: "num" }, duration((end - start) / 1e9)), el("td", null, el("code", null, name)), el("td", { class: "mono" }, words))));
  const blocks = [el("div", { class: "scroll" }, el("table", null, el("thead", null, el("tr", null, ["Time / s", "Took", "Command", "With"].map((text) => el("th", { scope: "col" }, text)))), body))];
  const left = data.commands_total - data.commands.length;
  if (left > 0) blocks.push(el("p", { class: "muted" }, left.toLocaleString("en") + " more in ", fileLink(data.record + "/commands.jsonl", "commands.jsonl"), "."));
  return blocks;
}

function logs(data) {
  const blocks = [];
  for (const complaint of data.complaints) blocks.push(el("p", { class: "problem" }, "‡ ", complaint));
  if (data.kernel_log && data.kernel_log.bytes) blocks.push(el("div", null, el("p", { class: "label" }, "kernel.log: its warnings and worse"), excerpt(data.kernel_log, data.record + "/kernel.log")));
  if (data.console_log && data.console_log.bytes) blocks.push(el("div", null, el("p", { class: "label" }, "console.log: what the guest wrote to its console"), excerpt(data.console_log, data.record + "/console.log")));
  return blocks;
}

function executionTable(data) {
  const body = el("tbody", null, data.executions.map((entry) => el("tr", null, el("td", { class: "num" }, String(entry.number)), el("td", null, badge(entry.verdict)),
    el("td", null, el("code", { class: "hash" }, entry.digest ? entry.digest.slice(0, 16) : "–")), el("td", { class: "num" }, duration(entry.virtual_s)), el("td", { class: "num" }, duration(entry.wall_s)),
    el("td", null, entry.folder ? fileLink(entry.folder + "/record.json", "record") : el("span", { class: "muted" }, "the same bits; not kept")))));
  return el("div", { class: "scroll" }, el("table", null, el("thead", null, el("tr", null, ["#", "Verdict", "Digest", "Virtual", "Wall", "Record"].map((text) => el("th", { scope: "col" }, text)))), body));
}

function determinism(data) {
  const digests = new Set(data.executions.map((entry) => entry.digest));
  const many = data.executions.length;
  const same = many > 1 && digests.size === 1 && !digests.has(null);
  const word = same ? `✓ ${many} executions, identical to the bit.` : data.difference ? `≠ ${many} executions, not identical.` : many > 1 ? `${many} executions; nothing to compare.` : `${count(many, "execution")}: nothing to compare it with.`;
  const pairs = [["seed", data.seed], ["digest", data.digest], ["left out of it", data.left_out.join(", ")], ["kernel", data.kernel], ...Object.entries(data.artifacts)];
  const blocks = [el("p", null, el("strong", null, word)), executionTable(data), el("dl", { class: "pairs" }, pairs.filter((pair) => pair[1]).flatMap(([name, value]) => [el("dt", null, name), el("dd", { class: "mono" }, value)]))];
  if (data.parts) {
    const rows = Object.entries(data.parts).map(([name, sha]) => el("tr", null, el("td", null, name), el("td", { class: "hash" }, sha)));
    blocks.push(el("details", null, el("summary", null, `SHA-256 of its ${count(rows.length, "part")}`), el("table", { class: "mono" }, el("tbody", null, rows))));
  }
  return blocks;
}
