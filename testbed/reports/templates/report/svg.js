// SPDX-License-Identifier: MIT
const SVG = "http://www.w3.org/2000/svg";

// Make an SVG element; strings among the children are text, with what would not show written out.
function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes || {})) if (value !== null && value !== undefined) element.setAttribute(name, value);
  for (const child of children.flat()) if (child !== null && child !== undefined) element.append(child instanceof Node ? child : plain(child));
  return element;
}

// Give round numbers between two ends: about so many.
function ticks(low, high, wanted) {
  const span = high - low || 1;
  const rough = span / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => span / size <= wanted) || 10 * power;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) found.push(at);
  return found;
}

function tickText(ns, spanNs) {
  const digits = Math.min(9, Math.max(0, Math.ceil(-Math.log10(spanNs / 1e9 / 8))));
  return (ns / 1e9).toFixed(digits) + " s";
}

function amount(value) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) if (Math.abs(value) >= size) return +(value / size).toPrecision(4) + unit;
  return String(Math.round(value));
}

// Put a drawing that was made elsewhere into the page: parsed as XML, so that it can be nothing but a drawing.
function drawing(text) {
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  if (parsed.nodeName !== "svg") return el("p", { class: "muted" }, text);
  return document.importNode(parsed, true);
}
