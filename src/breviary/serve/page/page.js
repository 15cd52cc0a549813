// Sends the document, shows the summary as it arrives, and the passage that each of its sentences was made from.
const $ = (id) => document.getElementById(id);
const names = { map_reduce: "all of it, part by part", refine: "all of it, one part after another", extract: "its central parts", truncate: "its beginning" };
let running = [];   // what can be stopped
let file = null;    // sent as it is, until its text is edited

const headers = () => ($("token").value ? { Authorization: `Bearer ${$("token").value}` } : {});

async function start() {
  const response = await fetch("/models", { headers: headers() });
  if (response.status === 401) { $("token-label").hidden = false; return say("This service wants its token."); }
  const offer = await response.json();
  say("");
  fill("model", offer.models.map((each) => [each.name, each.name]));
  fill("other", [["", "no other"], ...offer.models.map((each) => [each.name, each.name])]);
  fill("profile", [["", "as set up"], ...offer.profiles.map((each) => [each, each])]);
  fill("mode", offer.modes.map((each) => [each, names[each] ?? each]));
  $("file").accept = offer.formats.map((each) => `.${each}`).join(",");
  $("formats").textContent = `.${offer.formats.join(", .")}; up to ${(offer.max_bytes / 1e6).toPrecision(1)} MB`;
}

function fill(id, options, chosen) {
  $(id).replaceChildren(...options.map(([value, text]) => new Option(text, value, value === chosen, value === chosen)));
}

function say(problem) {
  $("problem").textContent = problem;
  $("problem").hidden = !problem;
}

function body(model) {
  const settings = { model, mode: $("mode").value };
  if ($("profile").value) settings.profile = $("profile").value;
  if ($("max_tokens").value) settings.max_tokens = Number($("max_tokens").value);
  if ($("seconds").value) settings.max_ms = Math.round(1000 * Number($("seconds").value));
  if (!file) return { body: JSON.stringify({ text: $("text").value, ...settings }), headers: { "Content-Type": "application/json" } };
  const form = new FormData();
  form.set("file", file);
  for (const [name, value] of Object.entries(settings)) form.set(name, value);
  return { body: form, headers: {} };
}

async function summarise() {
  stop();
  say("");
  if (!file && !$("text").value.trim()) return say("Paste a text, or open a file.");
  const chosen = [...new Set([$("model").value, $("other").value])].filter(Boolean);
  $("answers").replaceChildren();
  $("summary-title").scrollIntoView({ block: "nearest" });
  $("go").disabled = true; $("stop").disabled = false;
  for (const model of chosen) await ask(model, card(model));  // one model is in memory: one after the other
  $("go").disabled = false; $("stop").disabled = true;
}

function card(model) {
  const made = $("card").content.firstElementChild.cloneNode(true);
  made.querySelector("h3").textContent = model;
  $("answers").append(made);
  return made;
}

async function ask(model, into) {
  const abort = new AbortController();
  running.push(abort);
  const sent = body(model);
  try {
    const response = await fetch("/summarise", { method: "POST", signal: abort.signal, body: sent.body, headers: { ...sent.headers, ...headers(), Accept: "application/x-ndjson" } });
    if (!response.ok) throw new Error((await response.json()).detail);
    for await (const event of lines(response)) show(event, into);
  } catch (error) {
    if (error.name === "AbortError") into.querySelector(".cost").textContent = "stopped";
    else say(error.message);
  }
  into.querySelector("progress").hidden = true;
  into.querySelector(".summary").setAttribute("aria-busy", "false");
}

async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part; !(part = await reader.read()).done; ) {
    const whole = (rest + part.value).split("\n");
    rest = whole.pop();
    for (const line of whole) yield JSON.parse(line);
  }
}

function show(event, into) {
  const summary = into.querySelector(".summary"), bar = into.querySelector("progress");
  if (event.event === "error") say(event.detail);
  if (event.event === "piece") summary.textContent += event.text;
  if (event.event === "progress") { bar.hidden = false; bar.max = event.of; bar.value = event.done; summary.textContent = ""; }
  if (event.event === "answer") finish(event.answer, into);
}

function finish(answer, into) {
  if (answer.source !== null) { $("text").value = answer.source; file = null; $("file").value = ""; }
  reading(true);
  const sentences = answer.sentences.map((sentence) => {
    const made = document.createElement("span");
    made.textContent = sentence.text;
    made.tabIndex = 0;
    made.setAttribute("role", "button");
    made.title = "Show the passage that this was made from";
    for (const kind of ["mouseenter", "focus", "click"]) made.addEventListener(kind, () => point(sentence.spans));
    return made;
  });
  into.querySelector(".summary").replaceChildren(...sentences.flatMap((each) => [each, " "]));
  const left = answer.truncated ? "; not all of the document was read" : "";
  into.querySelector(".cost").textContent = `${answer.tokens} tokens, ${(answer.milliseconds / 1000).toFixed(1)} s, ${answer.profile}, ${answer.mode}${left}${answer.cut ? "; its first sentence had to be cut" : ""}`;
  keep(into, ".text", `${answer.summary}\n`, "text/plain", "summary.txt");
  keep(into, ".json", JSON.stringify(answer, null, 1), "application/json", "summary.json");
  into.querySelector(".keep").hidden = false;
}

function keep(into, selector, content, type, name) {
  const link = into.querySelector(selector);
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
}

// Spans count characters as Python does; a string of JavaScript has two units for some of them.
function point(spans) {
  const characters = [...$("text").value];
  const parts = [];
  let at = 0;
  for (const { start, end } of [...spans].sort((one, two) => one.start - two.start)) {
    if (start > at) parts.push(characters.slice(at, start).join(""));
    const mark = document.createElement("mark");
    mark.textContent = characters.slice(Math.max(start, at), end).join("");
    parts.push(mark);
    at = Math.max(at, end);
  }
  parts.push(characters.slice(at).join(""));
  $("source").replaceChildren(...parts);
  const first = $("source").querySelector("mark");
  if (first) $("source").scrollTop = first.offsetTop - $("source").offsetTop - 40;
}

function reading(yes) {
  $("source").hidden = !yes; $("edit").hidden = !yes; $("text").hidden = yes;
  if (yes) $("source").textContent = $("text").value;
}

function stop() {
  running.forEach((each) => each.abort());
  running = [];
}

function open(chosen) {
  if (!chosen) return;
  file = chosen;
  $("text").value = `${chosen.name}, ${(chosen.size / 1000).toFixed(0)} kB: its text is shown with the summary.`;
  reading(false);
}

$("ask").addEventListener("submit", (event) => { event.preventDefault(); summarise(); });
$("stop").addEventListener("click", stop);
$("edit").addEventListener("click", () => { reading(false); $("text").focus(); });
$("text").addEventListener("input", () => { file = null; $("file").value = ""; });
$("file").addEventListener("change", () => open($("file").files[0]));
$("token").addEventListener("change", start);
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !$("go").disabled) summarise();
  if (event.key === "Escape") stop();
});
for (const kind of ["dragover", "dragleave", "drop"]) document.addEventListener(kind, (event) => {
  event.preventDefault();
  document.body.classList.toggle("dropping", kind === "dragover");
  if (kind === "drop") open(event.dataTransfer.files[0]);
});
start().catch(() => say("The service does not answer."));
