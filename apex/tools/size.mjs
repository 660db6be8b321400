/**
 * Prints the characters of Apex per class and trigger, tests left out, comments included, and the sum.
 *
 *   node tools/size.mjs [PROJECT]
 *
 * Exit code 1 at or over the limit: a package that guards every save should be read in one sitting.
 */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { APEX_FOLDER, SHIPPED, filesBelow } from "./project.mjs";

/** The sum must stay below this many characters (code points). */
const LIMIT = 33_000;

const root = path.join(path.resolve(process.argv[2] ?? APEX_FOLDER), SHIPPED);
const sizes = [];
for (const file of await filesBelow(root, [".cls", ".trigger"])) {
  sizes.push([[...(await readFile(file, "utf8"))].length, path.relative(root, file)]);
}
const total = sizes.reduce((sum, [size]) => sum + size, 0);
for (const [size, name] of [...sizes, [total, `of at most ${LIMIT - 1}`]]) {
  console.log(`${String(size).padStart(6)}  ${name}`);
}
if (total >= LIMIT) {
  console.error(`Too much Apex: ${total} characters, the limit is ${LIMIT}.`);
  process.exitCode = 1;
}
