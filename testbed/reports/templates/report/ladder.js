// SPDX-License-Identifier: MIT
// Packets as a ladder: nodes as lifelines, an arrow for each packet, its slope the delay; quiet time is shortened.
const LADDER = { narrow: 170, wide: 460, left: 104, edge: 54, least: 9, most: 46, row: 20, head: 28, margin: 12, crowded: 300, share: 0.75, crowd: 12 };

function ladder(data, packets, open) {
  const nodes = data.nodes.filter((node) => packets.some((packet) => packet.from === node || packet.to === node));
  const room = Math.min(1100, document.getElementById("right").clientWidth - 100) - LADDER.left - 2 * LADDER.edge;
  const gap = Math.min(LADDER.wide, Math.max(LADDER.narrow, room / Math.max(1, nodes.length - 1)));
  const x = new Map(nodes.map((node, index) => [node, LADDER.left + LADDER.edge + index * gap]));
  const width = LADDER.left + 2 * LADDER.edge + Math.max(0, nodes.length - 1) * gap;
  const { y, pauses, height } = ladderTimes(packets);
  const heads = svg("svg", { width, height: LADDER.head, "aria-hidden": "true" });
  const drawn = svg("svg", { width, height, role: "img", "aria-label": `Ladder of ${count(packets.length, "packet")} between ${nodes.map(plain).join(", ")}; the table has the same packets` });
  for (const node of nodes) {
    heads.append(svg("text", { x: x.get(node), y: 18 }, node));
    drawn.append(svg("path", { class: "life", d: `M${x.get(node)} 0V${height}` }));
  }
  for (const pause of pauses) drawn.append(svg("path", { class: "pause", d: `M${LADDER.left} ${pause.y}H${width}` }), svg("text", { class: pause.left ? "clock left-out" : "clock", x: 6, y: pause.y + 3 }, pause.left ? `… ${pause.left.toLocaleString("en")} packets …` : `+ ${duration(pause.ns / 1e9)}`));
  let lastClock = -99;
  const crowd = new Map();
  for (const packet of packets) {
    const from = x.get(packet.from), to = x.has(packet.to) ? x.get(packet.to) : from + gap / 2;
    const key = packet.first + " " + packet.from; // what a node sends at one instant is drawn one below the other
    const below = LADDER.crowd * (crowd.get(key) || 0);
    crowd.set(key, (crowd.get(key) || 0) + 1);
    const begin = y.get(packet.first) + below, end = packet.received === null ? begin + 10 : Math.max(begin, y.get(packet.received));
    if (begin - lastClock >= 12) {
      drawn.append(svg("text", { class: "clock", x: 6, y: begin + 3 }, seconds(packet.first)));
      lastClock = begin;
    }
    drawn.append(hop(packet, from, begin, to, end, open));
  }
  return el("div", { class: "ladder", tabindex: "0" }, el("div", { class: "heads" }, heads), drawn);
}

// Give each time its height: in order, with room for a text where a packet begins, quiet time cut short. Packets before
// and after those that are left out never share a height.
function ladderTimes(packets) {
  const begins = new Set(packets.map((packet) => packet.first));
  const times = new Set(begins);
  for (const packet of packets) if (packet.received !== null) times.add(packet.received);
  const crowds = new Map();
  for (const packet of packets) crowds.set(packet.first + " " + packet.from, (crowds.get(packet.first + " " + packet.from) || 0) + 1);
  const extra = new Map();
  for (const packet of packets) extra.set(packet.first, Math.max(extra.get(packet.first) || 0, crowds.get(packet.first + " " + packet.from) - 1));
  const resumes = new Map(packets.slice(1).map((packet, index) => [packet.first, packet.number - packets[index].number - 1]).filter((entry) => entry[1] > 0 && packets.every((packet) => !packet.filtered)));
  const sorted = Array.from(times).sort((a, b) => a - b);
  const steps = sorted.slice(1).map((time, index) => time - sorted[index]).sort((a, b) => a - b);
  const usual = steps[Math.floor(steps.length / 2)] || 1;
  const y = new Map();
  const pauses = [];
  let at = 16, lastBegin = -99;
  sorted.forEach((time, index) => {
    if (index) {
      const passed = time - sorted[index - 1];
      at += Math.min(LADDER.most, LADDER.least * Math.log2(1 + passed / usual) + 2);
      if (resumes.has(time)) {
        at += 40;
        pauses.push({ y: at - 24, left: resumes.get(time) });
      } else if (passed > 20 * usual && passed > 5e7) {
        at += 10;
        pauses.push({ y: at - 26, ns: passed });
      }
      if (begins.has(time)) at = Math.max(at, lastBegin + LADDER.row);
    }
    if (begins.has(time)) lastBegin = at;
    y.set(time, at);
    at += LADDER.crowd * (extra.get(time) || 0);
  });
  return { y, pauses, height: at + 30 };
}

function hop(packet, from, begin, to, end, open) {
  const lost = packet.lost, stray = packet.sent === null;
  const start = stray ? (from + to) / 2 : from;
  const stop = lost ? from + (to - from) * 0.55 : to;
  const foot = lost ? begin + (end - begin) * 0.55 : end;
  const way = Math.sign(to - from) || 1;
  const angle = Math.atan2(foot - begin, stop - start);
  const group = svg("g", { class: "hop" + (lost ? " lost" : stray ? " stray" : "") });
  group.append(svg("title", null, `${packet.number}  ${packet.from} → ${packet.to} (${packet.link})\n${packetTimes(packet)}\n${packet.info}`));
  group.append(svg("path", { class: "arrow", d: `M${start} ${begin}L${stop} ${foot}` }));
  if (lost) group.append(svg("path", { class: "cross", d: `M${stop - 4} ${foot - 4}l8 8m0 -8l-8 8` }));
  else group.append(svg("path", { class: "tip", d: "M0 0L-8 3.5V-3.5Z", transform: `translate(${stop} ${foot}) rotate(${(angle * 180) / Math.PI})` }));
  // The text begins where the packet does, along the arrow: there no other one has begun.
  const degrees = (Math.atan2(foot - begin, Math.abs(stop - start)) * 180 * way) / Math.PI;
  const span = Math.abs(to - (lost ? from : start));
  const room = (span < LADDER.crowded ? LADDER.share * span : span) - LADDER.margin; // there the answer's text begins
  const text = fitted(ladderText(packet), lost ? " ✕ lost" : stray ? " ✚ not sent" : "", room);
  group.append(svg("text", { transform: `translate(${start + 7 * way} ${begin - 3}) rotate(${degrees})`, "text-anchor": way > 0 ? "start" : "end" }, text));
  group.addEventListener("click", () => open(packet.number));
  return group;
}

function ladderText(packet) {
  const tcp = /^TCP \S+ > \S+ (\S+)/.exec(packet.info);
  let text = packet.info.replace(/^\S+ (\S+) > (\S+) ?(?:\(\d+\) )?(?:\/ )?/, packet.protocol + " ");
  if (tcp) text = `TCP ${tcp[1]} ${(packet.info.match(/(?:seq|ack|len)=\d+/g) || []).join(" ")}`;
  else if (packet.protocol === "ICMPv6") text = packet.info.split(" / ").pop();
  return text;
}

// Cut a text so that it ends before the next lifeline; measured, as fonts differ by a third in width.
const RULER = document.createElement("canvas").getContext("2d");

function fitted(text, end, room) {
  if (!RULER.measured) {
    RULER.font = "10.5px " + getComputedStyle(document.body).fontFamily;
    RULER.measured = true;
  }
  const wide = (words) => RULER.measureText(plain(words)).width;
  if (wide(text + end) <= room) return text + end;
  let most = text.length - 1;
  while (most > 4 && wide(text.slice(0, most) + "…" + end) > room) most -= 1;
  return text.slice(0, most) + "…" + end;
}

function packetTimes(packet) {
  if (packet.sent === null) return `arrived ${seconds(packet.received, 9)} s, not sent at the other end: put onto the wire, doubled or damaged there`;
  if (packet.lost) return `sent ${seconds(packet.sent, 9)} s, never arrived`;
  if (packet.received === null) return `sent ${seconds(packet.sent, 9)} s; the other end was not captured`;
  return `sent ${seconds(packet.sent, 9)} s, arrived ${seconds(packet.received, 9)} s: ${duration((packet.received - packet.sent) / 1e9)} under way`;
}
