/**
 * The gate that every change of the Apex passes, without an org.
 *
 *   node tools/check.mjs [PROJECT]
 *
 * All checks run; each prints whether it passed and its seconds. Exit code 1 if one found something.
 */
import path from "node:path";
import { performance } from "node:perf_hooks";
import { violations } from "./analysis.mjs";
import { convert } from "./convert.mjs";
import { unformatted } from "./formatting.mjs";
import { APEX_FOLDER } from "./project.mjs";
import { semanticIssues } from "./semantics.mjs";
import { bareSuppressions } from "./suppressions.mjs";

/** Stands where an operator's endpoint will. */
const ANY_ENDPOINT = "https://ingest.example.com";

/** From a check's name to what finds its problems, one a line. */
const CHECKS = {
  format: unformatted,
  semantics: semanticIssues,
  suppressions: bareSuppressions,
  "code analyzer": violations,
  conversion: unconvertible,
};

/** The conversion that packages the source, its zip thrown away. */
async function unconvertible(folder) {
  try {
    await convert(folder, ANY_ENDPOINT);
    return [];
  } catch (error) {
    return [error.message];
  }
}

const folder = path.resolve(process.argv[2] ?? APEX_FOLDER);
for (const [name, check] of Object.entries(CHECKS)) {
  const began = performance.now();
  const problems = await check(folder);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const verdict = problems.length === 0 ? "passed" : `${problems.length} found`;
  console.log(`Apex ${name}: ${verdict} (${seconds} s)`);
  for (const problem of problems) {
    console.log(`  ${problem}`);
  }
  if (problems.length > 0) {
    process.exitCode = 1;
  }
}
