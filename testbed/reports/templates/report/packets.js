// SPDX-License-Identifier: MIT
// The packets of a case: a ladder and a table, with one filter for both.
const COLUMNS = ["sent", "received", "link", "from", "to", "length", "protocol", "info", "bytes", "layers", "capture"];

function packetObjects(data) {
  const gap = data.packets_gap;
  return data.packets.map((values, index) => {
    const packet = Object.fromEntries(COLUMNS.map((name, column) => [name, values[column]]));
    packet.number = 1 + index + (gap && index >= gap[0] ? gap[1] : 0);
    packet.first = packet.sent === null ? packet.received : packet.sent;
    packet.lost = packet.received === null && packet.to !== "";
    packet.words = [packet.link, packet.from, packet.to, packet.protocol, packet.info].join(" ").toLowerCase();
    return packet;
  });
}

function packetSection(data) {
  const all = packetObjects(data);
  const place = el("div");
  const filter = el("input", { type: "search", placeholder: "Filter: tcp, h1, icmp …", "aria-label": "Filter the packets", spellcheck: "false" });
  const views = el("span", { class: "seg", role: "group", "aria-label": "How packets are shown" });
  const number = el("output", { class: "muted" });
  let view = "ladder";
  const draw = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const packets = all.filter((packet) => words.every((word) => packet.words.includes(word)));
    for (const packet of all) packet.filtered = packets.length !== all.length;
    number.value = packets.length === all.length ? "" : `${packets.length} of ${all.length}`;
    for (const button of views.children) button.setAttribute("aria-pressed", String(button.dataset.view === view));
    place.replaceChildren(view === "ladder" ? ladder(data, packets, openRow) : packetTable(data, packets));
  };
  const openRow = (wanted) => {
    view = "table";
    draw();
    const button = place.querySelector(`[data-number="${wanted}"]`);
    button.click();
    button.scrollIntoView({ block: "center" });
    button.focus();
  };
  for (const name of ["ladder", "table"]) {
    views.append(el("button", { type: "button", "data-view": name, onclick: () => { view = name; draw(); } }, name === "ladder" ? "Ladder" : "Table"));
  }
  filter.addEventListener("input", draw);
  draw();
  const blocks = [el("div", { class: "controls" }, views, filter, number), place];
  if (data.packets_gap) blocks.push(el("p", { class: "muted left-out" }, gapText(data)));
  blocks.push(captureList(data));
  return blocks;
}

function gapText(data) {
  const [after, left] = data.packets_gap;
  const files = data.packets_gap_files.flatMap(([file, many], index) => [index ? ", " : "", many.toLocaleString("en") + " in ", fileLink(data.record + "/" + file, file.split("/").pop())]);
  return [`${left.toLocaleString("en")} more after the first ${after}: `, ...files, "."];
}

function packetTable(data, packets) {
  const body = el("tbody");
  let before = 0;
  for (const packet of packets) {
    if (data.packets_gap && before && before <= data.packets_gap[0] && packet.number > data.packets_gap[0] + 1) {
      body.append(el("tr", null, el("td", { colspan: "7", class: "gap" }, gapText(data))));
    }
    before = packet.number;
    body.append(packetRow(packet));
  }
  const heads = ["#", "Time / s", "Way", "Under way", "Bytes", "Protocol", "What"];
  return el("div", { class: "scroll" }, el("table", { class: "packets" }, el("thead", null, el("tr", null, heads.map((text) => el("th", { scope: "col" }, text)))), body));
}

function packetRow(packet) {
  const opener = el("button", { type: "button", class: "opener", "aria-expanded": "false", "data-number": packet.number }, String(packet.number));
  const way = packet.sent === null ? "✚ not sent" : packet.lost ? "✕ lost" : packet.received === null ? "–" : duration((packet.received - packet.sent) / 1e9);
  const row = el("tr", { class: "packet" }, el("td", { class: "num" }, opener), el("td", { class: "num" }, seconds(packet.first)), el("td", null, `${packet.from} → ${packet.to || packet.link}`),
    el("td", { class: packet.lost ? "bad num" : "num" }, way), el("td", { class: "num" }, String(packet.length)), el("td", null, packet.protocol), el("td", { class: "info" }, packet.info));
  row.addEventListener("click", () => {
    if (String(getSelection())) return;
    const open = opener.getAttribute("aria-expanded") === "true";
    opener.setAttribute("aria-expanded", String(!open));
    if (open) row.nextElementSibling.remove();
    else row.after(el("tr", { class: "more" }, el("td", { colspan: "7" }, dissected(packet))));
  });
  return row;
}

function dissected(packet) {
  const data = decoded64(packet.bytes);
  const dump = hexdump(data) + (data.length < packet.length ? `\n[… ${bytes(packet.length - data.length)} more on the wire …]` : "");
  const layers = packet.layers.map(([name, fields]) => el("div", null, el("h4", null, name), el("dl", { class: "pairs mono" }, fields.flatMap(([field, value]) => [el("dt", null, field), el("dd", null, value)]))));
  return [el("p", null, `${packet.link}: ${packetTimes(packet)}`), el("div", { class: "dissected" }, layers), el("pre", { tabindex: "0" }, dump)];
}

function captureList(data) {
  const items = data.captures.map((capture, index) => el("li", null, fileLink(data.record + "/" + capture.file, capture.file.split("/").pop()),
    el("span", { class: "muted" }, data.frames ? ` ${count(data.frames[index], "frame")}, ${bytes(capture.bytes)}` : ` ${bytes(capture.bytes)}`)));
  return el("div", null, el("p", { class: "label" }, "Captures, one for each end of a link (pcapng, nanoseconds):"), el("ul", { class: "files" }, items));
}
