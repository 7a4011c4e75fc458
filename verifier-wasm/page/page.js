"use strict";
// Foreign words (label names, file names, messages) only ever become text: this script sets no markup.

const MOST_BYTES = 128 * 1024 * 1024;

const byId = (id) => document.getElementById(id);

const compiled = WebAssembly.compile(
  Uint8Array.from(atob(byId("module").textContent), (character) => character.charCodeAt(0)),
);

/** Checks files against what is expected, in an instance of its own. Gives the answer and its time in milliseconds. */
async function check(files, expected) {
  const options = new TextEncoder().encode(JSON.stringify(expected));
  const parts = [options, ...files];
  const { exports } = await WebAssembly.instantiate(await compiled, {});
  const start = performance.now();
  let answer;
  try {
    const size = parts.reduce((sum, part) => sum + 4 + part.length, 0);
    let at = exports.lorica_input(size);
    for (const part of parts) {
      new DataView(exports.memory.buffer).setUint32(at, part.length, true);
      new Uint8Array(exports.memory.buffer).set(part, at + 4);
      at += 4 + part.length;
    }
    const length = exports.lorica_check();
    const bytes = new Uint8Array(exports.memory.buffer, exports.lorica_output(), length);
    answer = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    // A check that stops has accepted nothing.
    const message = `the check stopped: ${error}`;
    answer = { schema: "lorica.error/1", kind: "rejected", exit_code: 1, message, files: [] };
  }
  return { answer, milliseconds: performance.now() - start };
}

/** Text without characters that steer a line of it. */
const plain = (text) => String(text).replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, "\ufffd");

/** An element with text and elements inside. */
function element(name, options, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(options ?? {})) {
    if (key === "class") made.className = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.map((child) => (child instanceof Node ? child : plain(child))));
  return made;
}

/** Foreign words, whose direction stays theirs. */
const foreign = (text) => element("bdi", {}, text);
const mono = (text) => element("span", { class: "mono" }, text);

function rows(target, entries) {
  const present = entries.filter(([, value]) => value !== null && value !== undefined);
  target.replaceChildren(
    ...present.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
  );
  return target;
}

/** Label names are the adapter's; without a name the number serves. */
const labelName = (name, index) => (name === null || name === undefined ? `label ${index}` : foreign(name));

function scores(logits) {
  const order = logits.map((logit, index) => ({ ...logit, index }));
  order.sort((left, right) => right.integer - left.integer || left.index - right.index);
  const line = ({ name, index, score }) =>
    element("tr", {}, element("th", { scope: "row" }, labelName(name, index)), element("td", {}, score.toFixed(4)));
  return element("table", { "aria-label": "Scores" }, element("tbody", {}, ...order.map(line)));
}

function request(own, index, count) {
  const made = element("div", { class: "request" });
  if (count > 1) made.append(element("h3", {}, `Request ${index + 1}`));
  if (own.logits !== undefined) {
    made.append(element("p", { class: "answer" }, labelName(own.label.name, own.label.index)), scores(own.logits));
  } else if (own.embedding !== undefined) {
    const numbers = own.embedding.map((value) => value.toFixed(6)).join(" ");
    made.append(
      element("p", { class: "answer" }, `An embedding of ${own.embedding.length} numbers`),
      element("details", {}, element("summary", {}, "Show it, at length 1"), mono(numbers)),
    );
  } else if (own.label_name !== undefined) {
    made.append(element("p", { class: "answer" }, labelName(own.label_name, own.label)));
  } else {
    made.append(element("p", { class: "answer" }, "An embedding, of which only a digest is shown"));
  }
  const none = own.adapter === null || /^0x0*$/.test(own.adapter);
  made.append(
    rows(element("dl"), [
      ["Tokens", own.tokens],
      ["Adapter", none ? "none" : mono(own.adapter)],
      ["Input digest", mono(own.input_digest)],
      ["Output digest", mono(own.output_digest)],
    ]),
  );
  return made;
}

/** Text with commands between backticks. */
function sentence(text) {
  return text.split("`").map((part, index) => (index % 2 === 1 ? element("code", {}, part) : part));
}

function proven(answer) {
  byId("proven-title").textContent = answer.insecure_srs ? "What it says" : "What was proven";
  byId("requests").replaceChildren(
    ...answer.requests.map((own, index) => request(own, index, answer.requests.length)),
  );
  const { shape, binding } = answer;
  const bound = (binding?.requests ?? []).flatMap(({ id, fee }, index) => [
    [`Request ${index + 1}: id`, mono(id)],
    [`Request ${index + 1}: fee`, mono(`${BigInt(fee)}`)],
  ]);
  rows(byId("facts"), [
    ["Circuit", answer.circuit && mono(answer.circuit)],
    ["Base", mono(answer.base)],
    ["Architecture", mono(answer.architecture)],
    ["SRS", answer.insecure_srs ? element("span", {}, mono(answer.srs), " (development, insecure)") : mono(answer.srs)],
    ["Shape", `${shape.requests} × ${shape.tokens} tokens, τ ${shape.tau}, ${shape.output}`],
    ["Chain id", binding && `${binding.chain_id}`],
    ["Consumer", binding && mono(binding.consumer)],
    ["Payee", binding && mono(binding.payee)],
    ...bound,
    ["Context", mono(answer.context)],
  ]);
}

/** Class, title and text of a verdict. */
function verdict(answer) {
  if (answer.accepted === true) {
    const what = answer.circuit === undefined ? "proof" : "settlement";
    if (answer.insecure_srs) {
      return ["warn", "! Holds, but proves nothing", `The ${what} holds, but ${answer.warnings.join("; ")}.`];
    }
    return ["good", "✓ Accepted", `The ${what} holds for these keys. See below what it says and what was not checked.`];
  }
  if (answer.kind === "rejected") return ["bad", "✕ Rejected", `The check that failed: ${answer.message}.`];
  if (answer.kind === "input") return ["bad", "✕ A file is refused", `${answer.message}.`];
  return ["", "Not complete", `${answer.message}.`];
}

function show(answer, milliseconds) {
  const [kind, title, text] = verdict(answer);
  byId("verdict").className = `card verdict ${kind}`;
  byId("verdict-title").textContent = title;
  byId("verdict-text").textContent = plain(text);
  const accepted = answer.accepted === true;
  byId("proven").hidden = !accepted;
  byId("unchecked").hidden = !accepted;
  byId("cost").textContent = accepted || answer.kind === "rejected" ? `Checked in ${milliseconds.toFixed(0)} ms.` : "";
  if (accepted) {
    proven(answer);
    const line = (name) => element("li", {}, ...sentence(answer.not_checked_why[name]));
    byId("unchecked-list").replaceChildren(...answer.not_checked.map(line));
  }
  listFiles(answer.files);
}

let given = [];
let latest = 0;

function listFiles(kinds) {
  byId("files").replaceChildren(
    ...given.map((file, index) => {
      const remove = element("button", { type: "button", "aria-label": `Remove ${plain(file.name)}` }, "Remove");
      remove.addEventListener("click", () => {
        given.splice(index, 1);
        run();
      });
      const kind = element("span", { class: "dim" }, kinds[index] ?? "");
      return element("li", {}, element("span", { class: "name" }, foreign(file.name)), kind, remove);
    }),
  );
}

async function run() {
  const own = ++latest;
  if (given.length === 0) {
    show({ kind: "usage", message: "The verdict appears here as soon as the files are complete", files: [] }, 0);
    byId("verdict-title").textContent = "Nothing to check yet";
    return;
  }
  const expected = Object.fromEntries(["base", "context", "circuit"].map((name) => [name, byId(name).value]));
  const { answer, milliseconds } = await check(given.map((file) => file.bytes), expected);
  // Not the answer to an older question.
  if (own === latest) show(answer, milliseconds);
}

/** Takes files; a file of a name that is there already takes its place. */
async function take(list) {
  const files = [...list];
  const large = files.find((file) => file.size > MOST_BYTES);
  if (large !== undefined) {
    const message = `${large.name} has more than 128 MiB: give the key file, not the model`;
    show({ kind: "input", message, files: [] }, 0);
    return;
  }
  const read = await Promise.all(
    files.map(async (file) => ({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) })),
  );
  const names = new Set(read.map((file) => file.name));
  given = [...given.filter((file) => !names.has(file.name)), ...read];
  await run();
}

byId("input").addEventListener("change", (event) => {
  const files = [...event.target.files];
  event.target.value = "";
  take(files);
});
for (const name of ["base", "context", "circuit"]) byId(name).addEventListener("input", run);
for (const kind of ["dragover", "drop", "dragleave"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    byId("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files);
  });
}
