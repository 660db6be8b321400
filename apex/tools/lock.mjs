/**
 * Takes out of the lock file what installing does not need: who asks for funding, and where.
 *
 *   node tools/lock.mjs
 */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { APEX_FOLDER } from "./project.mjs";

const LOCK = path.join(APEX_FOLDER, "package-lock.json");

const lock = JSON.parse(await readFile(LOCK, "utf8"));
for (const dependency of Object.values(lock.packages)) {
  delete dependency.funding;
}
await writeFile(LOCK, `${JSON.stringify(lock, null, 2)}\n`);
