// SPDX-License-Identifier: MIT
"use strict";
const PAGE = JSON.parse(document.getElementById("page").textContent);

// Text of strangers: it only ever becomes text nodes, and what would not show is written out and marked (marked.py).
const CONTROLS = /[@CONTROL@\ud800-\udfff\u{e0000}-\u{e007f}]/gu;

function written(letter) {
  const code = letter.codePointAt(0);
  if (code >= 0xdc80 && code <= 0xdcff) return "\\x" + (code - 0xdc00).toString(16).padStart(2, "0");
  if (code <= 0xff) return "\\x" + code.toString(16).padStart(2, "0");
  if (code <= 0xffff) return "\\u" + code.toString(16).padStart(4, "0");
  return "\\U" + code.toString(16).padStart(8, "0");
}

function plain(text) {
  return String(text).replace(CONTROLS, written);
}

function shown(text) {
  const fragment = document.createDocumentFragment();
  let at = 0;
  for (const found of String(text).matchAll(CONTROLS)) {
    if (found.index > at) fragment.append(text.slice(at, found.index));
    const mark = document.createElement("b");
    mark.className = "ctl";
    mark.textContent = written(found[0]);
    fragment.append(mark);
    at = found.index + found[0].length;
  }
  fragment.append(String(text).slice(at));
  return fragment;
}

// Let a long name break after its underscores, slashes and colons.
function breakable(text) {
  return text.split(/(?<=[_/:.])/).flatMap((part, index) => (index ? [document.createElement("wbr"), part] : [part]));
}

// Make an element; strings among the children go through shown(), null is left out.
function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : shown(String(child)));
  }
  return element;
}

function seconds(ns, places = 6) {
  return (ns / 1e9).toFixed(places).replace(/^-(0\.0*)$/, "$1");
}

function duration(s) {
  if (s >= 36000) return (s / 3600).toFixed(1) + " h";
  if (s >= 7200) return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min";
  if (s >= 120) return Math.floor(s / 60) + " min " + (s % 60).toFixed(0) + " s";
  for (const [size, unit] of [[1, "s"], [1e-3, "ms"], [1e-6, "us"]]) if (s >= size) return +(s / size).toPrecision(3) + " " + unit;
  return s <= 0 ? "0 s" : (s * 1e9).toFixed(0) + " ns";
}

function count(number, one, many) {
  return number.toLocaleString("en") + " " + (number === 1 ? one : many || one + "s");
}

function bytes(size) {
  for (const [unit, name] of [[1 << 30, "GiB"], [1 << 20, "MiB"], [1 << 10, "KiB"]]) if (size >= unit) return +(size / unit).toPrecision(3) + " " + name;
  return count(size, "byte");
}

function decoded64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// Give the JSON of a data block: raw deflate in base64.
async function unpacked(id) {
  const block = document.getElementById(id);
  if (!block) return null;
  const stream = new Blob([decoded64(block.textContent)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(stream).text());
}

function fileLink(path, text) {
  return el("a", { href: PAGE.base + path.split("/").map(encodeURIComponent).join("/") }, text || path);
}

function excerpt(found, path) {
  const pre = el("pre", { tabindex: "0" });
  pre.append(shown(found.head));
  if (found.left_out) pre.append(el("span", { class: "gap" }, `\n[… ${bytes(found.left_out)} more in `, fileLink(path), " …]\n"), shown(found.tail));
  return pre;
}

function badge(verdict) {
  return el("span", { class: "badge v-" + verdict.replace(/ /g, "-") }, el("span", { class: "sym", "aria-hidden": "true" }, PAGE.symbols[verdict]), verdict);
}

function copyButton(text) {
  const button = el("button", { type: "button", onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(button.previousElementSibling);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } }, "Copy");
  return button;
}

function commandLine(text) {
  return el("div", { class: "command" }, el("code", { tabindex: "0" }, text), copyButton(text));
}

function hexdump(data) {
  const lines = [];
  for (let at = 0; at < data.length; at += 16) {
    const part = Array.from(data.slice(at, at + 16));
    const hex = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = part.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(at.toString(16).padStart(4, "0") + "  " + hex.padEnd(48) + " " + text);
  }
  return lines.join("\n");
}
