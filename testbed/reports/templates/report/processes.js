// SPDX-License-Identifier: MIT
// The processes of a case: who ran when, and what each wrote.
function exitText(process) {
  if (process.end === null) return ["○ never ended", false];
  if (process.code === 0) return ["✓ exit 0", true];
  return [process.code < 0 ? `✗ signal ${-process.code}` : `✗ exit ${process.code}`, false];
}

function processList(data) {
  const blocks = data.processes.map((process, index) => {
    const [text, fine] = exitText(process);
    const body = el("div");
    const details = el("details", { class: "process", id: "process-" + index },
      el("summary", null, el("span", { class: "node" }, process.node), el("code", null, process.argv),
        el("span", { class: "exit " + (fine ? "ok" : "no") }, text),
        el("span", { class: "muted" }, `${seconds(process.start)} – ${process.end === null ? "…" : seconds(process.end)} s`)), body);
    details.addEventListener("toggle", () => { if (details.open && !body.firstChild) fillProcess(body, process, data); });
    if (!fine && data.processes.length <= 12) details.open = true;
    return details;
  });
  if (data.processes_left_out) blocks.push(el("p", { class: "muted" }, count(data.processes_left_out, "more process", "more processes"), " in ", fileLink(data.record + "/processes", "processes/")));
  return blocks;
}

function fillProcess(body, process, data) {
  const folder = data.record + "/" + process.folder;
  for (const stream of ["stdout", "stderr"]) {
    if (process[stream]) body.append(el("div", null, el("p", { class: "label" }, `${stream}, ${bytes(process[stream].bytes)}`), excerpt(process[stream], folder + "/" + stream)));
  }
  if (!process.stdout && !process.stderr) body.append(el("p", { class: "muted" }, "It wrote nothing."));
  body.append(el("p", { class: "label" }, "Files: ", ...["cmdline", "stdout", "stderr", "status"].flatMap((name) => [fileLink(folder + "/" + name, name), " "])));
}

function timeline(data) {
  const width = 1000, left = 190, lane = 22, top = 26;
  const first = Math.min(0, ...data.processes.map((process) => process.start));
  const last = Math.max(data.end, 1, ...data.processes.map((process) => process.end || process.start));
  const x = (ns) => left + ((ns - first) / (last - first || 1)) * (width - left - 14);
  const rows = data.nodes.flatMap((node) => data.processes.map((process, index) => [process, index]).filter(([process]) => process.node === node));
  const height = top + lane * rows.length + 30;
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Timeline of ${count(rows.length, "process", "processes")}; the list below has the same times` });
  for (const at of ticks(first, last, 7)) {
    drawn.append(svg("path", { class: "axis", d: `M${x(at)} ${top - 4}V${height - 26}` }), svg("text", { class: "tick dim", x: x(at), y: 14, "text-anchor": "middle" }, tickText(at, last - first)));
  }
  let before = null;
  rows.forEach(([process, index], number) => {
    const y = top + number * lane;
    if (process.node !== before) drawn.append(svg("path", { class: "axis", d: `M0 ${y}H${width}` }), svg("text", { x: 8, y: y + 15, "font-weight": 700 }, process.node.slice(0, 12)));
    before = process.node;
    const [text, fine] = exitText(process);
    const begin = x(process.start), end = x(process.end === null ? last : process.end);
    const program = process.argv.split(" ")[0].split("/").pop();
    drawn.append(svg("text", { class: "dim", x: left - 8, y: y + 15, "text-anchor": "end" }, program.slice(0, 18)));
    const bar = svg("rect", { class: "lane " + (process.end === null ? "open" : fine ? "" : "no"), x: begin, y: y + 5, width: Math.max(2.5, end - begin), height: lane - 9, rx: 2 });
    bar.append(svg("title", null, `${process.node}: ${process.argv}\n${seconds(process.start, 9)} – ${process.end === null ? "…" : seconds(process.end, 9)} s, ${text}`));
    drawn.append(bar);
    if (!fine) drawn.append(end > width - 110 ? svg("text", { x: begin - 5, y: y + 15, "text-anchor": "end" }, text) : svg("text", { x: end + 5, y: y + 15 }, text));
    bar.addEventListener("click", () => openProcess(index));
  });
  const foot = height - 16;
  drawn.append(svg("text", { class: "dim", x: left - 8, y: foot + 4, "text-anchor": "end" }, "commands"));
  for (const [name, words, start] of data.commands) drawn.append(svg("path", { class: "cmd", d: `M${x(Math.max(first, start))} ${foot - 5}v10` }, svg("title", null, `${seconds(start, 9)} s  ${name} ${words}`)));
  return el("div", { class: "timeline", tabindex: "0" }, drawn);
}

function openProcess(index) {
  const details = document.getElementById("process-" + index);
  details.open = true;
  details.scrollIntoView({ block: "center" });
  details.firstElementChild.focus();
}
