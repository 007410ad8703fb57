"use strict";
// Every text of a document reaches the page as textContent: HTML in a title is shown, not run.

const at = (id) => document.getElementById(id);
const CHARACTERS = 300; // of a text in a list
let about = null; // what /api/rows says
let results = []; // of the query that is shown: {result, section}
let asked = 0; // number of the newest search: answers of earlier ones come too late

async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(path, body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw new Error("The server does not answer: is gr2 serve still running?");
  }
  const value = await answer.json().catch(() => ({ error: `The server answered with ${answer.status}.` }));
  if (!answer.ok) throw new Error(value.error);
  return value;
}

function fault(error) {
  at("fault").hidden = !error;
  at("fault").textContent = error ? error.message : "";
}

async function begin() {
  try {
    about = await ask("api/rows");
  } catch (error) {
    return fault(error);
  }
  document.title = `${about.name}: gr2 search`;
  at("name").textContent = about.name;
  at("about").textContent = `${about.documents.toLocaleString("en")} documents`;
  const wanted = new URLSearchParams(location.search).getAll("row");
  about.rows.forEach((row, place) => {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", name: "row", value: row.name });
    box.checked = wanted.length ? wanted.includes(row.name) : place < 2;
    const label = document.createElement("label");
    label.append(box, ` ${row.name}`);
    at("rows").append(label);
  });
  at("draw").hidden = !about.judged_queries;
  for (let grade = about.highest_grade; grade > 0; grade--) at("grade").append(new Option(grade, grade));
  fromAddress();
}

// The address holds the query, so that a list can be passed on and the browser's Back returns to it.
function fromAddress() {
  const address = new URLSearchParams(location.search);
  if (address.get("k")) at("k").value = address.get("k");
  if (at("k").selectedIndex < 0) at("k").value = "10";
  const rows = address.getAll("row");
  if (rows.length) for (const box of at("rows").querySelectorAll("input")) box.checked = rows.includes(box.value);
  at("query").value = address.get("q") || "";
  at("only").value = address.get("only") || "";
  if (at("query").value.trim()) search();
}

function submit(event) {
  event.preventDefault();
  const address = new URLSearchParams([...new FormData(at("search"))].filter(([, value]) => value));
  history.pushState(null, "", `?${address}`);
  search();
}

async function search() {
  const query = at("query").value, k = Number(at("k").value), mine = ++asked;
  const only = at("only").value.trim() || null;
  const rows = [...at("rows").querySelectorAll("input:checked")].map((box) => box.value);
  if (!rows.length) return fault(new Error("Choose a row to search with."));
  if (!query.trim()) return fault(new Error("A query must have words in it."));
  at("lists").setAttribute("aria-busy", "true");
  try {
    const body = (row) => ({ queries: [query], k, row, only, characters: CHARACTERS });
    const found = await Promise.all(rows.map(async (row) => (await ask("api/search", body(row))).results[0]));
    if (mine !== asked) return;
    fault(null);
    show(found, only);
  } catch (error) {
    if (mine === asked) fault(error);
  } finally {
    if (mine === asked) at("lists").setAttribute("aria-busy", "false");
  }
}

function show(found, only) {
  at("lists").style.setProperty("--columns", found.length);
  results = found.map((result) => ({ result, section: listOf(result, only) }));
  at("lists").replaceChildren(...results.map(({ section }) => section));
  const judged = found.some((result) => result.grades);
  at("filters").hidden = !found.some((result) => result.hits.length);
  at("gradeLabel").hidden = !judged;
  if (!judged) at("grade").value = "";
  filter();
}

function listOf(result, only) {
  const section = at("list").content.cloneNode(true).querySelector("section");
  const took = Object.assign(document.createElement("small"), { textContent: `${result.milliseconds} ms` });
  section.querySelector("h2").append(result.row, took);
  const proof = section.querySelector(".proof"), proven = result.hits.filter((hit) => hit.proven).length;
  proof.classList.toggle("whole", proven > 0 && proven === result.hits.length);
  const proves = about.rows.find((row) => row.name === result.row).proves;
  proof.textContent = !result.hits.length ? "" : !proves ? "Not proven: the row joins or reranks lists, which proves nothing." : proven === result.hits.length
    ? `Proven: no other document${only ? " with such an id" : ""} scores higher than these ${proven}.`
    : `Proven: the first ${proven} of ${result.hits.length}; a better document than the others may have been missed.`;
  if (!result.hits.length) {
    section.append(Object.assign(document.createElement("p"), { className: "none", textContent: "No document was found." }));
  }
  if (result.grades) {
    const relevant = Object.keys(result.grades).filter((id) => result.grades[id] > 0);
    const here = result.hits.filter((hit) => result.grades[hit.doc_id] > 0).length;
    const line = section.querySelector(".judgements");
    line.hidden = false;
    line.textContent = `Judged: ${here} of ${relevant.length} relevant ${relevant.length === 1 ? "document" : "documents"} found.`;
  }
  const items = result.hits.map((hit) => itemOf(hit, result));
  section.querySelector("ol").append(...items);
  if (result.hits.some((hit) => hit.docid)) write(result, items);
  return section;
}

function itemOf(hit, result) {
  const item = at("hit").content.cloneNode(true).querySelector("li");
  const part = (name) => item.querySelector(`.${name}`);
  item.classList.toggle("unproven", !hit.proven);
  part("rank").textContent = hit.rank;
  part("title").textContent = hit.title || hit.doc_id;
  part("id").textContent = hit.title && hit.title !== hit.doc_id ? hit.doc_id : "";
  part("text").textContent = hit.text + (hit.text.length === CHARACTERS ? "…" : "");
  part("text").classList.add("short");
  part("score").textContent = scoreOf(hit);
  part("title").addEventListener("click", () => open(item, hit));
  if (result.grades) chip(part("chip"), result.grades[hit.doc_id]);
  return item;
}

function scoreOf(hit) {
  const number = (value) => value.toFixed(2).replace("-", "−");
  if (hit.log_likelihood === null) return `score ${number(hit.score)}`;
  const similarity = hit.score - hit.log_likelihood;
  const sign = similarity < 0 ? "−" : "+";
  return `score ${number(hit.score)} = ${number(hit.log_likelihood)} likelihood ${sign} ${number(Math.abs(similarity))} similarity`;
}

function chip(element, grade) {
  element.hidden = false;
  if (grade === undefined) {
    element.textContent = "not judged";
    return;
  }
  const share = about.highest_grade ? Math.max(0, grade) / about.highest_grade : 0;
  element.textContent = grade > 0 ? `grade ${grade}` : "not relevant";
  element.style.background = `hsl(205 70% ${94 - 62 * share}%)`;
  element.style.color = share > 0.5 ? "#fff" : "#1d1f23";
}

// The probability of each token of the docids that were found, in the order in which the model writes them.
async function write(result, items) {
  let docids = null;
  if (about.rows.find((row) => row.name === result.row).writes_docids) {
    try {
      const doc_ids = result.hits.map((hit) => hit.doc_id);
      docids = (await ask("api/explain", { q: result.query, doc_ids, row: result.row })).docids;
    } catch (error) {
      fault(error); // the docids are shown all the same, without probabilities
    }
  }
  result.hits.forEach((hit, place) => {
    if (!hit.docid) return;
    const line = items[place].querySelector(".docid");
    line.hidden = false;
    const tokens = docids ? docids[place].tokens : [{ text: hit.docid, log_likelihood: null }];
    line.append(...tokens.map(tokenOf));
  });
}

function tokenOf({ text, log_likelihood }, place) {
  const token = Object.assign(document.createElement("span"), { className: text ? "token" : "token end", textContent: text.trim() || "end" });
  token.style.setProperty("--place", place);
  if (log_likelihood !== null) {
    const probability = Math.exp(log_likelihood), percent = 100 * probability;
    token.style.setProperty("--p", probability);
    const told = percent >= 10 ? percent.toFixed(0) : percent >= 0.1 ? percent.toFixed(1) : "<0.1";
    token.append(Object.assign(document.createElement("small"), { textContent: `${told}%` }));
  }
  return token;
}

async function open(item, hit) {
  const button = item.querySelector(".title"), text = item.querySelector(".text");
  const opened = button.getAttribute("aria-expanded") === "true";
  if (!opened && !item.whole) {
    try {
      item.whole = (await ask(`api/documents/${encodeURIComponent(hit.doc_id)}`)).text;
      fault(null);
    } catch (error) {
      return fault(error);
    }
    text.textContent = item.whole;
  }
  text.classList.toggle("short", opened);
  button.setAttribute("aria-expanded", String(!opened));
}

// Which hits are shown; nothing is searched again.
function filter() {
  const words = at("words").value.toLowerCase().split(/\s+/).filter(Boolean), least = Number(at("grade").value);
  let shown = 0, all = 0;
  for (const { result, section } of results) {
    result.hits.forEach((hit, place) => {
      const text = `${hit.title} ${hit.doc_id} ${hit.docid} ${hit.text}`.toLowerCase();
      const grade = result.grades ? result.grades[hit.doc_id] ?? 0 : 0;
      const item = section.querySelectorAll(".hit")[place];
      item.hidden = !words.every((word) => text.includes(word)) || (least > 0 && grade < least);
      shown += !item.hidden;
      all += 1;
    });
  }
  at("shown").textContent = shown < all ? `${shown} of ${all} hits` : "";
}

async function draw() {
  try {
    const { queries } = await ask(`api/judged?from=${Math.floor(Math.random() * about.judged_queries)}`);
    at("query").value = queries[0].query;
    at("search").requestSubmit();
  } catch (error) {
    fault(error);
  }
}

let typing = 0;
function suggest() {
  clearTimeout(typing);
  if (!about || !about.judged_queries) return;
  typing = setTimeout(async () => {
    const words = at("query").value.trim();
    try {
      const { queries } = words.length < 2 ? { queries: [] } : await ask(`api/judged?contains=${encodeURIComponent(words)}`);
      at("judged").replaceChildren(...queries.slice(0, 8).map(({ query }) => new Option("", query)));
    } catch {
      // suggestions are no condition of a search
    }
  }, 200);
}

function keys(event) {
  const typed = event.target.matches("input[type=search], select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && typed) return event.target.blur();
  if (typed) return;
  if (event.key === "/") {
    event.preventDefault();
    at("query").focus();
    return at("query").select();
  }
  const step = { j: [0, 1], k: [0, -1], h: [-1, 0], l: [1, 0] }[event.key];
  if (step) move(...step);
}

function move(sideways, down) {
  const lists = results.map(({ section }) => [...section.querySelectorAll(".hit:not([hidden]) .title")]);
  const here = document.activeElement.closest(".list");
  const list = results.findIndex(({ section }) => section === here);
  if (list < 0) return lists.find((titles) => titles.length)?.[0].focus();
  const next = Math.min(Math.max(list + sideways, 0), lists.length - 1);
  const place = lists[list].indexOf(document.activeElement);
  lists[next][Math.min(Math.max(place + down, 0), lists[next].length - 1)]?.focus();
}

at("search").addEventListener("submit", submit);
at("draw").addEventListener("click", draw);
at("query").addEventListener("input", suggest);
at("words").addEventListener("input", filter);
at("grade").addEventListener("change", filter);
addEventListener("keydown", keys);
addEventListener("popstate", fromAddress);
begin();
