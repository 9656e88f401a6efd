// SPDX-License-Identifier: MIT
// The page as a whole: which case the address names, keys, colours.
const HELP = document.getElementById("help");
const THEMES = ["auto", "dark", "light"];

function follow() {
  let wanted = "";
  try {
    wanted = decodeURIComponent(location.hash.slice(1));
  } catch {
    wanted = "";
  }
  const row = wanted && ROWS.find((entry) => decodeURIComponent(entry.getAttribute("href").slice(1)) === wanted);
  if (row) openCase(row);
  else if (document.body.classList.contains("opened")) closeCase();
}

function setTheme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  document.getElementById("theme").textContent = "Theme: " + name;
  try {
    localStorage.setItem("testbed-theme", name);
  } catch {
    // a browser without storage forgets it
  }
}

function nextTheme() {
  setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme || "auto") + 1) % THEMES.length]);
}

// Put the focus on what the right side shows: on a wide screen a case that is opened leaves it in the list.
function details() {
  (CASE.hidden ? OVERVIEW : CASE).focus();
}

function overview() {
  if (location.hash.length > 1) location.hash = "";
  document.body.classList.toggle("whole");
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  "/": () => { location.hash && matchMedia("(max-width: 860px)").matches && (location.hash = ""); SEARCH.focus(); SEARCH.select(); },
  d: details,
  t: nextTheme,
  "?": () => HELP.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || HELP.open) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    else if (document.body.classList.contains("opened")) location.hash = "";
  } else if (!typing && KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  } else if (event.target === SEARCH && event.key === "Enter") {
    const [first] = visibleRows();
    if (first) first.focus();
  }
});
document.getElementById("theme").addEventListener("click", nextTheme);
document.getElementById("help-button").addEventListener("click", () => HELP.showModal());
document.getElementById("overview-button").addEventListener("click", overview);
for (const [link, go] of [["#list", () => LIST.focus()], ["#case", details]]) {
  document.querySelector(`.skip[href="${link}"]`).addEventListener("click", (event) => {
    event.preventDefault(); // the address names the open case, and no part of the page
    go();
  });
}
addEventListener("hashchange", follow);
try {
  setTheme(localStorage.getItem("testbed-theme") || "auto");
} catch {
  setTheme("auto");
}
follow();
document.documentElement.dataset.ready = "true";
// For who measures: the first picture with the list is painted, and keys are taken.
requestAnimationFrame(() => setTimeout(() => performance.mark("ready")));
