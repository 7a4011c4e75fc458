// Opens the page in a headless Chromium and shows it files, honest and forged. Each answer must be the native one.
//
// node run.mjs CHROMIUM PAGE CASES [SCREENSHOTS]
//
// CASES is what the example `cases` writes. Chromium is spoken to through a pipe, so that nothing has to be installed.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** No check takes longer in the browser, the first time included. */
const LIMIT_MS = 1000;
/** Times that an accepted case is checked. */
const RUNS = 5;

const [chromium, page, casesFile, screenshots] = process.argv.slice(2);
const cases = JSON.parse(readFileSync(casesFile, "utf8"));
for (const one of cases) one.answer = JSON.parse(one.answer);
const profile = mkdtempSync(join(tmpdir(), "lorica-chromium-"));

/** Messages of the DevTools protocol, each ended by a zero byte. */
class Browser {
  constructor() {
    const options = ["--headless", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe", `--user-data-dir=${profile}`];
    // Chromium's sandbox does not work for root.
    if (process.getuid?.() === 0) options.push("--no-sandbox");
    this.process = spawn(chromium, [...options, "about:blank"], { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"] });
    this.noise = "";
    this.process.stderr.on("data", (data) => (this.noise = (this.noise + data).slice(-2000)));
    this.waiting = new Map();
    this.listeners = [];
    this.last = 0;
    let rest = Buffer.alloc(0);
    this.process.stdio[4].on("data", (data) => {
      rest = Buffer.concat([rest, data]);
      for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
        this.receive(JSON.parse(rest.subarray(0, end).toString("utf8")));
        rest = rest.subarray(end + 1);
      }
    });
    this.ended = new Promise((resolve) => this.process.on("close", resolve));
    this.process.on("error", (error) => this.fail(error));
    this.ended.then((code) => this.fail(new Error(`Chromium ended with ${code}: ${this.noise}`)));
  }

  fail(error) {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  receive(message) {
    const waiting = this.waiting.get(message.id);
    if (waiting === undefined) {
      this.listeners.forEach((listener) => listener(message));
      return;
    }
    this.waiting.delete(message.id);
    if (message.error) waiting.reject(new Error(`${waiting.method}: ${message.error.message}`));
    else waiting.resolve(message.result);
  }

  send(method, params = {}, sessionId = this.session) {
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, method });
      this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  event(method) {
    return new Promise((resolve) => this.listeners.push((message) => message.method === method && resolve(message.params)));
  }

  /** What a function of the page gives. */
  async evaluate(run, ...values) {
    const expression = `(${run})(...${JSON.stringify(values)})`;
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  async screenshot(name, width, scheme) {
    if (screenshots === undefined) return;
    mkdirSync(screenshots, { recursive: true });
    await this.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
    await this.send("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: false });
    const { data } = await this.send("Page.captureScreenshot", { captureBeyondViewport: true });
    writeFileSync(join(screenshots, `${name}.png`), Buffer.from(data, "base64"));
  }
}

/** In the page: checks files, and gives answers and times. */
async function checkInPage(files, expected, runs) {
  const bytes = files.map(({ hex }) => Uint8Array.from(hex.match(/../g) ?? [], (digits) => parseInt(digits, 16)));
  const results = [];
  for (let run = 0; run < runs; run += 1) results.push(await check(bytes, expected));
  return results;
}

/** In the page: gives files to its field as a person does, and what it then shows. */
async function showInPage(files, expected) {
  while (document.querySelector("#files button")) document.querySelector("#files button").click();
  for (const [name, value] of Object.entries(expected)) document.getElementById(name).value = value;
  const transfer = new DataTransfer();
  for (const { name, hex } of files) {
    const bytes = Uint8Array.from(hex.match(/../g) ?? [], (digits) => parseInt(digits, 16));
    transfer.items.add(new File([bytes], name));
  }
  const field = document.getElementById("input");
  const drop = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
  const title = document.getElementById("verdict-title");
  title.textContent = "waiting";
  field.dispatchEvent(drop);
  for (let step = 0; title.textContent === "waiting" && step < 500; step += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return {
    kind: document.getElementById("verdict").className.split(" ")[2] ?? "",
    title: title.textContent,
    text: document.getElementById("verdict-text").textContent,
    files: [...document.querySelectorAll("#files li")].map((line) => line.textContent),
    proven: document.getElementById("proven").hidden ? "" : document.getElementById("proven").textContent,
    unchecked: document.getElementById("unchecked").hidden ? [] : [...document.querySelectorAll("#unchecked li")].map((line) => line.textContent),
    strangers: document.querySelectorAll("main img, main script, main iframe, main a").length,
  };
}

async function run(browser) {
  const { targetId } = await browser.send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await browser.send("Target.attachToTarget", { targetId, flatten: true });
  browser.session = sessionId;
  const requested = [];
  browser.listeners.push(({ method, params }) => {
    if (method === "Network.requestWillBeSent") requested.push(params.request.url);
  });
  const problems = [];
  browser.listeners.push(({ method, params }) => {
    if (method === "Runtime.exceptionThrown") problems.push(params.exceptionDetails.exception?.description);
    if (method === "Log.entryAdded" && params.entry.level === "error") problems.push(params.entry.text);
  });
  for (const domain of ["Page", "Runtime", "Network", "Log"]) await browser.send(`${domain}.enable`);
  const loaded = browser.event("Page.loadEventFired");
  await browser.send("Page.navigate", { url: pathToFileURL(page).href });
  await loaded;
  const imports = await browser.evaluate(async () => WebAssembly.Module.imports(await compiled));
  assert.deepEqual(imports, [], "the module imports something");
  assert.deepEqual(problems, [], "the page complains");

  // Answers and times.
  const times = [];
  for (const { name, expected, files, answer, verdict, native_ms } of cases) {
    const runs = verdict === "accepted" ? RUNS : 1;
    const results = await browser.evaluate(checkInPage, files, expected, runs);
    for (const result of results) {
      assert.deepEqual(result.answer, answer, `${name}: not the native answer`);
      assert.ok(result.milliseconds <= LIMIT_MS, `${name}: ${result.milliseconds} ms`);
    }
    const own = results.map((result) => result.milliseconds).sort((left, right) => left - right);
    if (verdict === "accepted") times.push({ name, first: results[0].milliseconds, median: own[own.length >> 1], native_ms });
  }
  const verdicts = cases.map(({ verdict }) => verdict);
  const count = (verdict) => verdicts.filter((own) => own === verdict).length;
  console.log(`page: ${cases.length} cases as the native check says them: ${count("accepted")} accepted, ${count("rejected")} rejected, ` +
    `${count("input")} with a key refused, ${count("usage")} not complete`);
  for (const { name, first, median, native_ms } of times) {
    console.log(`page: ${median.toFixed(0).padStart(4)} ms (first ${first.toFixed(0)} ms, native ${native_ms.toFixed(0)} ms)  ${name}`);
  }

  // What a person sees.
  const seen = { accepted: "warn", rejected: "bad", input: "bad", usage: "" };
  for (const { name, expected, files, verdict, answer } of cases) {
    if (files.length === 0) continue;
    const shown = await browser.evaluate(showInPage, files, expected);
    // Golden files are of the development SRS, which the page must say.
    const kind = verdict === "accepted" && answer.insecure_srs === false ? "good" : seen[verdict];
    assert.equal(shown.kind, kind, `${name}: ${JSON.stringify(shown)}`);
    assert.equal(shown.strangers, 0, `${name}: something was made of foreign words`);
    const accepted = verdict === "accepted";
    assert.equal(shown.proven !== "", accepted, name);
    assert.equal(shown.unchecked.length, accepted ? answer.not_checked.length : 0, name);
    if (accepted) {
      assert.ok(shown.proven.includes(answer.base) && shown.proven.includes(answer.context), name);
      for (const name of answer.not_checked) {
        const why = answer.not_checked_why[name].replaceAll("`", "");
        assert.ok(shown.unchecked.includes(why), `${name} of ${JSON.stringify(shown.unchecked)}`);
      }
      if (answer.insecure_srs) assert.match(shown.text, /insecure.*anyone can forge/, name);
      for (const { label } of answer.requests) {
        if (label?.name) assert.ok(shown.proven.includes(label.name.replace(/[\u202a-\u202e]/g, "\ufffd")), `${name}: ${label.name}`);
      }
    } else {
      assert.ok(shown.text.includes(answer.message), `${name}: ${shown.text}`);
    }
    const pictures = { "a proof": "accepted", "another label": "rejected", "classify: a settlement": "settlement", "keys alone": "incomplete" };
    if (name in pictures || cases.length === 1) {
      await browser.screenshot(pictures[name] ?? "given", 900, "light");
      await browser.screenshot(`${pictures[name] ?? "given"}-dark`, 420, "dark");
    }
  }

  // With another SRS than the development one.
  const accepted = cases.find(({ verdict }) => verdict === "accepted");
  const secure = await browser.evaluate((answer) => {
    show({ ...answer, insecure_srs: false, warnings: [] }, 1);
    return [document.getElementById("verdict").className, document.getElementById("verdict-title").textContent];
  }, accepted.answer);
  assert.deepEqual(secure, ["card verdict good", "\u2713 Accepted"]);
  await browser.screenshot("secure", 900, "light");
  await browser.screenshot("secure-dark", 900, "dark");

  // Nothing goes out, and it is the page's own policy that says so.
  assert.deepEqual(problems, [], "the page complains");
  const violations = await browser.evaluate(async () => {
    const refused = [];
    document.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
    const gone = [];
    await fetch("https://example.org/").then(() => gone.push("fetch"), () => {});
    await new Promise((resolve) => {
      const image = new Image();
      image.onload = () => resolve(gone.push("image"));
      image.onerror = resolve;
      image.src = "https://example.org/a.png";
    });
    try {
      eval("gone.push('eval')");
    } catch {}
    const script = document.createElement("script");
    script.textContent = "window.injected = true";
    document.body.append(script);
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (window.injected) gone.push("script");
    return { refused, gone };
  });
  assert.deepEqual(violations.gone, [], "something went out or ran");
  for (const directive of ["connect-src", "img-src", "script-src-elem"]) {
    assert.ok(violations.refused.includes(directive), `${directive} is not refused: ${violations.refused}`);
  }
  const outside = requested.filter((url) => !url.startsWith("file://") && !url.startsWith("data:"));
  assert.deepEqual(outside.filter((url) => !url.startsWith("https://example.org/")), [], "the page asked for something");
}

const digest = createHash("sha256").update(readFileSync(page)).digest("hex");
const browser = new Browser();
try {
  await run(browser);
  console.log(`page: ${readFileSync(page).length} bytes, SHA-256 ${digest}`);
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await Promise.race([browser.send("Browser.close", {}, undefined).catch(() => {}), new Promise((r) => setTimeout(r, 3000))]);
  await Promise.race([browser.ended, new Promise((r) => setTimeout(r, 3000))]);
  browser.process.kill("SIGKILL");
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
