/**
 * The semantic check: every name and type against the platform's own of API 65, and unused code.
 *
 * It is apex-ls, which comes with Code Analyzer's PMD engine. It does not see private members made
 * visible to tests, the arguments of `System.enqueueJob`, and fields inside SOQL.
 */
import path from "node:path";
import { APEX_FOLDER } from "./project.mjs";
import { run } from "./run.mjs";

const LIBRARIES = path.join(
  APEX_FOLDER,
  "node_modules/@salesforce/code-analyzer-pmd-engine/dist/java-lib/*",
);
const APEX_LS = ["-cp", LIBRARIES, "io.github.apexdevtools.apexls.CheckForIssues"];
const OPTIONS = ["--detail", "unused", "--format", "json", "--nocache"];

/** What it exits with: nothing found, something found. Else it has failed. */
const CLEAN = 0;
const ISSUES = 4;

/**
 * Check a project's Apex for names, types and code that nothing uses.
 * @param {string} folder of the project
 * @returns {Promise<string[]>} one line per issue
 */
export async function semanticIssues(folder) {
  const { code, stdout, stderr } = await run("java", [
    ...APEX_LS,
    ...OPTIONS,
    "--workspace",
    folder,
  ]);
  if (code === CLEAN) {
    return [];
  }
  if (code !== ISSUES) {
    throw new Error(`apex-ls ended with ${code}: ${stderr}`);
  }
  return JSON.parse(stdout).files.flatMap((file) =>
    file.messages.map(({ start, category, message }) => {
      const place = `${path.relative(folder, file.path)}:${start.line}`;
      return `${place} ${category}: ${message}`;
    }),
  );
}
