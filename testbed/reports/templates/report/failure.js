// SPDX-License-Identifier: MIT
// What the test raised, with its source lines; and where two executions diverged, side by side.
function failure(data) {
  const found = data.failure;
  const pre = el("pre", { tabindex: "0", id: "assertion" });
  for (const line of found.text.split("\n")) {
    const kind = line.startsWith(">") ? "at" : /^E( |$)/.test(line) ? "e" : null;
    pre.append(kind ? el("span", { class: kind }, line) : shown(line), kind === "at" ? "" : "\n");
  }
  return [el("p", null, "in ", el("code", null, found.line ? `${found.file}:${found.line}` : found.file)), pre];
}

function divergence(data) {
  const sides = data.sides;
  const blocks = [el("p", { class: "muted" }, "Same seed, same artifacts, and yet not the same bits. The earliest difference in the network's time comes first.")];
  if (!sides) return [el("pre", { tabindex: "0" }, data.difference)];
  for (const part of sides.parts) {
    blocks.push(el("h4", null, part.title));
    if (part.before.length) blocks.push(el("div", null, el("p", { class: "label" }, "the same on both sides before it"),
      el("pre", null, part.before.map((line) => seconds(line.time, 9) + "  " + line.text).join("\n"))));
    const [left, right] = part.sides;
    blocks.push(el("div", { class: "twins" }, side(sides.left, left, right), side(sides.right, right, left)));
    if (left.layers && right.layers) blocks.push(fieldTable(sides, left, right));
  }
  if (sides.left_out) blocks.push(el("p", { class: "muted" }, count(sides.left_out, "more part", "more parts"), " of the record differ."));
  return blocks;
}

function side(name, own, other) {
  const pre = el("pre", { tabindex: "0" });
  if (own.bytes !== undefined) {
    pre.append(shown(`${seconds(own.time, 9)} s  ${count(own.length, "byte")}\n${own.info}\n\n`), markedHex(own, other));
  } else if (own.same !== undefined) {
    pre.append(shown(own.same), ...bothEnds(own, other));
  } else {
    pre.append(markedText(own.text, other.text));
  }
  return el("div", null, el("h4", null, name), pre);
}

// Mark the rest of a stream up to where both agree again.
function bothEnds(own, other) {
  if (own.ends) return [el("mark", null, "[ends here]")];
  return [markedText(own.other, other.other)];
}

function markedHex(own, other) {
  const data = decoded64(own.bytes);
  const against = other.bytes === undefined ? new Uint8Array() : decoded64(other.bytes);
  const fragment = document.createDocumentFragment();
  data.forEach((byte, at) => {
    const text = byte.toString(16).padStart(2, "0");
    fragment.append(at % 16 === 0 ? (at ? "\n" : "") + at.toString(16).padStart(4, "0") + "  " : " ");
    fragment.append(against[at] === byte ? text : el("mark", null, text));
  });
  return fragment;
}

// Mark what lies between the common beginning and the common end of two texts.
function markedText(own, other) {
  const against = other || "";
  let from = 0, left = 0;
  while (from < own.length && own[from] === against[from]) from += 1;
  while (left < Math.min(own.length, against.length) - from && own[own.length - 1 - left] === against[against.length - 1 - left]) left += 1;
  const fragment = document.createDocumentFragment();
  fragment.append(shown(own.slice(0, from)), el("mark", null, own.slice(from, own.length - left) || "[nothing here]"), shown(own.slice(own.length - left)));
  return fragment;
}

// Show the fields of both frames: those that differ at once, all of them on wish.
function fieldTable(sides, left, right) {
  const rows = left.time !== right.time ? [["time", seconds(left.time, 9), seconds(right.time, 9)]] : [];
  for (let index = 0; index < Math.max(left.layers.length, right.layers.length); index += 1) {
    const [name] = left.layers[index] || right.layers[index];
    const one = new Map(left.layers[index] ? left.layers[index][1] : []);
    const two = new Map(right.layers[index] ? right.layers[index][1] : []);
    for (const key of new Set([...one.keys(), ...two.keys()])) rows.push([`${name}.${key}`, one.has(key) ? one.get(key) : "–", two.has(key) ? two.get(key) : "–"]);
  }
  const differ = rows.filter((row) => row[1] !== row[2]);
  return el("div", null, fieldRows(sides, differ), el("details", null, el("summary", { class: "muted" }, `All ${count(rows.length, "field")}`), fieldRows(sides, rows)));
}

function fieldRows(sides, rows) {
  const body = rows.map(([name, one, two]) => el("tr", { class: one === two ? null : "differs" }, el("td", null, name), el("td", null, one), el("td", null, two)));
  return el("div", { class: "scroll" }, el("table", { class: "mono fields" }, el("thead", null, el("tr", null, ["field", sides.left, sides.right].map((text) => el("th", { scope: "col" }, text)))), el("tbody", null, body)));
}
