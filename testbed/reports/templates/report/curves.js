// SPDX-License-Identifier: MIT
// Time-sequence plots: what was sent when, what came back, and what had to be sent again.
const PLOT = { width: 1000, height: 360, left: 66, right: 14, top: 12, bottom: 30 };

function rowsOf(thinned) {
  const columns = thinned.columns.map((differences) => {
    let sum = 0;
    return differences.map((by) => (sum += by));
  });
  return columns.length ? columns[0].map((_, index) => columns.map((column) => column[index])) : [];
}

function curveSection(data) {
  const blocks = data.flows.mptcp.map((flow) => connection(flow)).concat(data.flows.tcp.map((flow) => tcpFlow(flow)));
  if (data.flows.left_out) blocks.push(el("p", { class: "muted" }, count(data.flows.left_out, "more flow"), " with less data are in the captures."));
  return blocks;
}

function tcpFlow(flow) {
  const points = rowsOf(flow.data), acks = rowsOf(flow.acks), sacks = rowsOf(flow.sacks);
  const draw = (axes) => {
    const marks = [];
    if (acks.length) marks.push(svg("path", { class: "p-window", d: stairs(acks.map(([t, , window]) => [t, window]), axes) }), svg("path", { class: "p-ack", d: stairs(acks, axes) }));
    for (const [t, left, right] of sacks) marks.push(svg("path", { class: "p-sack", d: sackMark(axes.x(t), axes.y(left), axes.y(right)) }));
    for (const [t, seq, length, kind] of points) {
      if (!axes.sees(t)) continue;
      const x = axes.x(t), y = axes.y(seq), top = Math.min(axes.y(seq + length), y - 1.5);
      if (kind === 1) marks.push(svg("path", { class: "p-again", d: `M${x} ${y}V${top}M${x} ${(y + top) / 2 - 5}l5 5l-5 5l-5 -5z` }, svg("title", null, `sent again: ${seq} to ${seq + length} at ${seconds(t, 9)} s`)));
      else if (kind > 1) marks.push(svg("text", { class: "p-mark", x, y: y - 6 }, ["S", "F", "R"][kind - 2]));
      else marks.push(svg("path", { class: "p-data", d: `M${x} ${y}V${top}` }));
    }
    return marks;
  };
  const bounds = extent(points.map(([t, seq, length]) => [t, seq + length]).concat(acks));
  const facts = [count(flow.bytes, "byte"), count(flow.segments, "segment"), `${flow.again.toLocaleString("en")} sent again`];
  if (flow.data.shown < flow.data.total) facts.push(`${flow.data.shown.toLocaleString("en")} of ${flow.data.total.toLocaleString("en")} drawn`);
  const legend = [key("p-data", "segment", "M9 1V11"), key("p-again", "sent again", "M9 0V12M9 1l5 5l-5 5l-5 -5z"), key("p-ack", "acknowledged"), key("p-window", "window"), key("p-sack", "SACK", "M2 2V10M2 6H16M16 2V10"), el("span", null, "S SYN, F FIN, R RST")];
  return plotBlock("TCP " + flow.name, flow.node, facts, legend, bounds, draw, "byte");
}

function connection(flow) {
  const points = rowsOf(flow.data), acks = rowsOf(flow.acks);
  const draw = (axes) => {
    const marks = acks.length ? [svg("path", { class: "p-ack", d: stairs(acks, axes) })] : [];
    for (const [t, seq, length, subflow] of points) {
      if (!axes.sees(t)) continue;
      const x = axes.x(t), y = axes.y(seq), top = Math.min(axes.y(seq + length), y - 2);
      const tick = ["", "h5", "m0 0h-5", "m-4 0h8"][subflow % 4];
      marks.push(svg("path", { class: `p-sub p-${subflow % 4}`, d: `M${x} ${y}V${top}${tick}` }));
    }
    return marks;
  };
  const facts = [count(flow.bytes, "byte"), count(flow.subflows.length, "subflow")];
  if (flow.data.shown < flow.data.total) facts.push(`${flow.data.shown.toLocaleString("en")} of ${flow.data.total.toLocaleString("en")} segments drawn`);
  const signs = ["│", "┌", "┐", "┬"];
  const legend = flow.subflows.map((subflow, index) => key(`p-sub p-${index % 4}`, `${signs[index % 4]} ${subflow.name}: ${bytes(subflow.bytes)}`)).concat([key("p-ack", "data acknowledged")]);
  return plotBlock("MPTCP " + flow.name, flow.node, facts, legend, extent(points.map(([t, seq, length]) => [t, seq + length]).concat(acks)), draw, "data byte");
}

// A block that a SACK names has ends, as an I has: it must differ from a segment without colour, too.
function sackMark(x, y, top) {
  return `M${x - 3} ${y}h6M${x} ${y}V${top}M${x - 3} ${top}h6`;
}

function key(kind, text, drawn = "M1 6H17") {
  return el("span", null, svg("svg", { width: 18, height: 12, "aria-hidden": "true" }, svg("path", { class: kind, d: drawn })), text);
}

function extent(points) {
  const times = points.map((point) => point[0]), numbers = points.map((point) => point[1]);
  return { t0: Math.min(...times), t1: Math.max(...times), n0: 0, n1: Math.max(1, ...numbers) };
}

function stairs(rows, axes) {
  let text = "";
  let y = null;
  for (const [t, number] of rows) {
    const next = axes.y(number);
    text += y === null ? `M${axes.x(t)} ${next}` : `H${axes.x(t)}V${next}`;
    y = next;
  }
  return text;
}

function plotBlock(title, node, facts, legend, bounds, draw, unit) {
  const drawn = svg("svg", { class: "plot", viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", "aria-label": `${plain(title)}: ${facts.join(", ")}` });
  let view = { ...bounds };
  const redraw = () => {
    const inside = { x0: PLOT.left, x1: PLOT.width - PLOT.right, y0: PLOT.height - PLOT.bottom, y1: PLOT.top };
    const axes = {
      x: (t) => +(inside.x0 + ((t - view.t0) / (view.t1 - view.t0 || 1)) * (inside.x1 - inside.x0)).toFixed(1),
      y: (n) => +(inside.y0 - ((n - view.n0) / (view.n1 - view.n0 || 1)) * (inside.y0 - inside.y1)).toFixed(1),
      sees: (t) => t >= view.t0 && t <= view.t1,
    };
    const id = "clip-" + title.replace(/\W/g, "");
    const clip = svg("clipPath", { id }, svg("rect", { x: inside.x0 - 6, y: inside.y1 - 12, width: inside.x1 - inside.x0 + 12, height: inside.y0 - inside.y1 + 14 }));
    drawn.replaceChildren(clip);
    for (const t of ticks(view.t0, view.t1, 8)) drawn.append(svg("path", { class: "axis", d: `M${axes.x(t)} ${inside.y0}V${inside.y1}` }), svg("text", { class: "tick", x: axes.x(t), y: PLOT.height - 10, "text-anchor": "middle" }, tickText(t, view.t1 - view.t0)));
    for (const n of ticks(view.n0, view.n1, 6)) drawn.append(svg("path", { class: "axis", d: `M${inside.x0} ${axes.y(n)}H${inside.x1}` }), svg("text", { class: "tick", x: inside.x0 - 7, y: axes.y(n) + 4, "text-anchor": "end" }, amount(n)));
    drawn.append(svg("text", { class: "tick", x: 4, y: 11 }, unit), svg("g", { "clip-path": `url(#${id})` }, draw(axes)));
  };
  const zoom = (t0, t1) => {
    const low = Math.max(bounds.t0, t0), high = Math.min(bounds.t1, t1);
    if (high > low) {
      const share = (t) => (t - bounds.t0) / (bounds.t1 - bounds.t0 || 1);
      view = t0 <= bounds.t0 && t1 >= bounds.t1 ? { ...bounds } : { ...bounds, t0: low, t1: high, ...(numbersIn(low, high) || { n0: share(low) * bounds.n1, n1: share(high) * bounds.n1 }) };
      redraw();
    }
  };
  const numbersIn = plotNumbers(draw, bounds);
  const by = (factor, shift) => {
    const middle = (view.t0 + view.t1) / 2 + shift * (view.t1 - view.t0), half = ((view.t1 - view.t0) / 2) * factor;
    zoom(middle - half, middle + half);
  };
  dragToZoom(drawn, () => view, zoom);
  redraw();
  const buttons = [["−", "Show more time", 2, 0], ["+", "Show less time", 0.5, 0], ["◀", "Earlier", 1, -0.4], ["▶", "Later", 1, 0.4]]
    .map(([sign, name, factor, shift]) => el("button", { type: "button", title: name, "aria-label": name, onclick: () => by(factor, shift) }, sign));
  const whole = el("button", { type: "button", onclick: () => zoom(bounds.t0, bounds.t1) }, "All");
  return el("div", { class: "flow" }, el("div", { class: "controls" }, el("strong", null, title), el("span", { class: "muted" }, `seen at ${node}: ${facts.join(", ")}`)), drawn,
    el("div", { class: "controls" }, el("span", { class: "seg" }, buttons, whole), el("span", { class: "legend" }, legend)));
}

// Give the numbers that lie in a span of time, by drawing into axes that only take notes.
function plotNumbers(draw, bounds) {
  return (low, high) => {
    const notes = [];
    let inside = false;
    draw({ x: (t) => { inside = t >= low && t <= high; return 0; }, y: (n) => { if (inside) notes.push(n); return 0; }, sees: (t) => t >= low && t <= high });
    if (!notes.length) return null;
    notes.sort((a, b) => a - b);
    const n0 = notes[0], n1 = notes[notes.length - 1];
    return { n0, n1: Math.max(n1, n0 + 1) };
  };
}

function dragToZoom(drawn, view, zoom) {
  let from = null, band = null;
  const at = (event) => {
    const box = drawn.getBoundingClientRect();
    return Math.min(PLOT.width - PLOT.right, Math.max(PLOT.left, ((event.clientX - box.left) / box.width) * PLOT.width));
  };
  const time = (x) => view().t0 + ((x - PLOT.left) / (PLOT.width - PLOT.left - PLOT.right)) * (view().t1 - view().t0);
  drawn.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") return;
    from = at(event);
    band = svg("rect", { class: "p-band", x: from, y: PLOT.top, width: 0, height: PLOT.height - PLOT.top - PLOT.bottom });
    drawn.append(band);
    drawn.setPointerCapture(event.pointerId);
  });
  drawn.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const to = at(event);
    band.setAttribute("x", Math.min(from, to));
    band.setAttribute("width", Math.abs(to - from));
  });
  drawn.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const to = at(event);
    band.remove();
    if (Math.abs(to - from) > 8) zoom(time(Math.min(from, to)), time(Math.max(from, to)));
    from = null;
  });
}
