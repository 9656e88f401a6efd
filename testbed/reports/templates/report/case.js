// SPDX-License-Identifier: MIT
// One case, opened: its data is unpacked and drawn when somebody asks for it.
const CASE = document.getElementById("case");
const OVERVIEW = document.getElementById("overview");
let opening = 0;

async function openCase(row) {
  const turn = (opening += 1);
  const data = await unpacked("data-" + row.dataset.index);
  const topology = data.topology ? await unpacked("topology-" + data.topology) : null;
  if (turn !== opening) return; // another one was asked for meanwhile
  for (const other of document.querySelectorAll("a.row[aria-current]")) other.removeAttribute("aria-current");
  row.setAttribute("aria-current", "true");
  CASE.className = "v-" + row.dataset.verdict.replace(/ /g, "-");
  CASE.replaceChildren(caseHead(row, data), ...caseSections(row, data, topology));
  const jump = el("nav", { class: "jump", "aria-label": "Parts of this case" }, Array.from(CASE.querySelectorAll("section")).map((section) => el("button", { type: "button", onclick: () => { section.scrollIntoView(); } }, section.dataset.title)));
  CASE.firstElementChild.after(jump);
  OVERVIEW.hidden = true;
  CASE.hidden = false;
  document.body.classList.add("opened");
  document.getElementById("right").scrollTop = 0;
  if (getComputedStyle(document.getElementById("left")).display === "none") { // a small screen: the case is a page of its own
    scrollTo(0, 0);
    CASE.focus();
  }
  row.scrollIntoView({ block: "nearest" });
  CASE.dataset.opened = row.dataset.index;
}

function closeCase() {
  opening += 1;
  const row = document.querySelector("a.row[aria-current]");
  CASE.hidden = true;
  delete CASE.dataset.opened;
  CASE.replaceChildren();
  OVERVIEW.hidden = false;
  document.body.classList.remove("opened");
  if (row) {
    row.removeAttribute("aria-current");
    row.focus();
  }
}

function caseHead(row, data) {
  const times = [+row.dataset.virtual, +row.dataset.wall];
  const faster = PAGE.clock === "virtual" && times[0] >= 0.1 * times[1] && times[1] > 0 ? ` (${+(times[0] / times[1]).toPrecision(3)} ×)` : "";
  const head = el("header", { class: "case-head" }, el("div", { class: "line" }, el("button", { type: "button", id: "back", onclick: () => { location.hash = ""; } }, "‹ Cases"), badge(row.dataset.verdict),
    el("span", null, row.dataset.suite), el("span", null, data.executions.length ? `${duration(times[0])} of ${PAGE.clock} time in ${duration(times[1])}${faster}` : "did not run"), data.shown ? el("span", null, `execution ${data.shown} of ${data.executions.length} is shown`) : null),
  el("h2", null, breakable(data.nodeid)));
  const why = row.querySelector(".why");
  if (why) head.append(el("p", { class: "reason" }, ...Array.from(why.cloneNode(true).childNodes)));
  if (data.record) head.append(commandLine(PAGE.again[row.dataset.index]));
  return head;
}

function caseSections(row, data, topology) {
  const sections = [];
  const add = (id, title, ...blocks) => sections.push(el("section", { class: "card", id: "part-" + id, "data-title": title }, el("h3", null, title), ...blocks));
  if (data.problem) add("problem", "Record", el("p", { class: "problem" }, data.problem));
  if (data.failure) add("failure", "Failure", ...failure(data));
  if (data.difference) add("divergence", "Where it diverged", ...divergence(data));
  if (data.oracle) add("oracle", "Oracle", ...oracleSection(data.oracle));
  if (data.record) {
    if (!data.complete) add("incomplete", "Not complete", el("p", null, "The run ended before this execution did: what it had recorded until then is here."));
    if (data.lost_frames) add("lost", "Lost frames", el("p", { class: "problem" }, count(data.lost_frames, "frame"), " did not fit into the capture ring."));
    const words = logs(data);
    const urgent = ["crashed", "timed out", "error"].includes(row.dataset.verdict);
    if (words.length && urgent) add("kernel", "Kernel and console", ...words);
    if (topology) add("topology", "Topology", el("div", { class: "drawing", tabindex: "0" }, drawing(topology.svg)));
    if (data.processes.length) {
      add("timeline", "Timeline", timeline(data));
      add("processes", `Processes (${data.processes.length + data.processes_left_out})`, ...processList(data));
    }
    if (data.latency) add("latency", "Round trips", ...latencySection(data.latency));
    if (data.packets && data.packets.length) add("packets", `Packets (${data.packets_total.toLocaleString("en")})`, ...packetSection(data));
    else if (data.captures.length) add("packets", "Packets", el("p", { class: "muted" }, data.packets ? "No frame passed." : ["They are not in this page, which was written at the end of the run; ", el("code", null, PAGE.command), " writes one with them."]), captureList(data));
    if (data.flows && data.flows.tcp.length + data.flows.mptcp.length) add("flows", "Flows", ...curveSection(data));
    if (data.commands.length) add("commands", `Commands (${data.commands_total})`, ...commandTable(data));
    if (words.length && !urgent) add("kernel", "Kernel and console", ...words);
  }
  if (data.record) add("determinism", "Determinism", ...determinism(data));
  else if (!data.problem) add("nothing", "Record", el("p", { class: "muted" }, "There is no record: no network of this case came up."));
  return sections;
}
