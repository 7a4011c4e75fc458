#!/usr/bin/env node
// forge from npm, with its exit status. npm's own launcher always exits with zero: failed tests would pass.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const architecture = { x64: "amd64", arm64: "arm64" }[process.arch];
const suffix = process.platform === "win32" ? ".exe" : "";
const program = createRequire(import.meta.url).resolve(
  `@foundry-rs/forge-${process.platform}-${architecture}/bin/forge${suffix}`,
);

/** Runs forge in the folder of the contracts; its exit status, or 1 if it did not end by itself. */
export function forge(parameters, stdio = "inherit") {
  const { status, error } = spawnSync(program, parameters, {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
    stdio,
  });
  if (error) console.error(error.message);
  return status ?? 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exit(forge(process.argv.slice(2)));
