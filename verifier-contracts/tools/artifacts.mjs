#!/usr/bin/env node
// Writes ABI and bytecode of the contracts to artifacts/, or, with --check, proves that those in git are what the sources
// compile to.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { forge } from "./forge.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const contracts = [
  "Halo2Verifier",
  "LoricaVerifier",
  "CommitmentRegistry",
  "IndexRanges",
  "VerifierRouter",
  "OpenToken",
  "WrappedOpen",
  "ModelRegistry",
  "InferenceEscrow",
  "PrepaidEscrow",
  "ProverStakes",
  "AttributionPot",
  "LineSale",
  "LabelConsumer",
];
// Below the chain's 24,576: a repair must fit.
const sizeLimit = 24_000;
const check = process.argv.includes("--check");

// npm's launcher of forge passed failed tests once: a failure must be seen here.
if (forge(["build", "--no-such-option"], "ignore") === 0) throw new Error("a failure of forge is not seen");
// The tests too: on a second core, and `forge test` has them ready.
if (forge(["build", "--force"], ["ignore", "ignore", "inherit"]) !== 0) process.exit(1);

let failed = false;
// Tests without the IR would contain another code of a contract that they create or inherit: see foundry.toml.
const names = contracts.join("|");
const contained = new RegExp(`\\bnew (${names})\\b(?!\\.)|\\bcontract \\w+ is [^{]*\\b(${names})\\b`);
for (const file of readdirSync(join(root, "test"), { recursive: true })) {
  if (!file.endsWith(".sol") || /^(whole|halmos)\b/.test(file)) continue;
  const [match] = contained.exec(readFileSync(join(root, "test", file), "utf8")) ?? [];
  if (match === undefined) continue;
  console.error(`test/${file}: "${match}": deploy by artifact, or move it to test/whole`);
  failed = true;
}
mkdirSync(join(root, "artifacts"), { recursive: true });
for (const name of contracts) {
  const output = JSON.parse(readFileSync(join(root, "out", `${name}.sol`, `${name}.json`), "utf8"));
  const { version } = output.metadata.compiler;
  const size = (output.deployedBytecode.object.length - 2) / 2;
  const abi = output.abi.map((entry) => "    " + JSON.stringify(entry)).join(",\n");
  const content = `{
  "contractName": "${name}",
  "compiler": "${version}",
  "abi": [
${abi}
  ],
  "bytecode": "${output.bytecode.object}",
  "deployedBytecode": "${output.deployedBytecode.object}"
}
`;
  const file = join(root, "artifacts", `${name}.json`);
  if (check) {
    let same = false;
    try {
      same = readFileSync(file, "utf8") === content;
    } catch {
      // A missing artifact differs.
    }
    if (!same) console.error(`artifacts/${name}.json is not what the sources compile to`);
    failed ||= !same;
  } else {
    writeFileSync(file, content);
  }
  if (size > sizeLimit) {
    console.error(`${name}: ${size} bytes, the limit is ${sizeLimit}`);
    failed = true;
  }
  console.log(`${name}: ${size} bytes`);
}
process.exit(failed ? 1 : 0);
