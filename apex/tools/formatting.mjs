/**
 * Whether everything is formatted: prettier, with Salesforce's own parser as a native program.
 */
import path from "node:path";
import { APEX_FOLDER } from "./project.mjs";
import { run } from "./run.mjs";

const PRETTIER = path.join(APEX_FOLDER, "node_modules/prettier/bin/prettier.cjs");

/** Where in prettier a file could not be parsed tells nobody anything. */
const STACK_FRAME = /^\[error\]\s+at /;

/**
 * Find the files that `prettier --write` would change, and those that it cannot parse.
 * @param {string} folder of the project
 * @returns {Promise<string[]>} one line per file
 */
export async function unformatted(folder) {
  const { code, stdout, stderr } = await run(
    process.execPath,
    [PRETTIER, "--list-different", "."],
    { cwd: folder },
  );
  const faults = linesOf(stderr).filter((line) => !STACK_FRAME.test(line));
  const problems = [
    ...linesOf(stdout).map((name) => `${name} is not formatted: make format`),
    ...faults,
  ];
  if (code !== 0 && problems.length === 0) {
    throw new Error(`prettier ended with ${code} and said nothing`);
  }
  return problems;
}

function linesOf(text) {
  return text.split("\n").filter(Boolean);
}
