/**
 * Salesforce Code Analyzer, by its core library: PMD and CPD, and the Graph Engine, which walks from
 * every entry point (a `global` method; no trigger and no Queueable) to what reaches the database.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import core from "@salesforce/code-analyzer-core";
import pmd from "@salesforce/code-analyzer-pmd-engine";
import sfge from "@salesforce/code-analyzer-sfge-engine";

const SELECTORS = ["Recommended", "Security", "AppExchange"];

const GRAPH_RULES = ["ApexFlsViolation", "DatabaseOperationsMustUseWithSharing"];

/** Two threads for two cores. A path that takes longer than its time is a violation, not a pass. */
const GRAPH_ENGINE = {
  java_max_heap_size: "2g",
  java_thread_count: 2,
  java_thread_timeout: 60_000, // ms, one entry point
};

/** A rule set that shrinks, because an engine was not loaded, must not pass for a clean source. */
const FEWEST_RULES = 80;

/**
 * Analyze a project's source.
 * @param {string} folder of the project
 * @returns {Promise<string[]>} one line per violation, and per fault of the analysis itself
 */
export async function violations(folder) {
  const scratch = await mkdtemp(path.join(os.tmpdir(), "penstock-analysis-"));
  // PMD's rule against unused methods needs the project, and would keep a cache below the home folder.
  process.env.PMD_APEX_ROOT_DIRECTORY = folder;
  process.env.APEXLINK_CACHE_DIR = path.join(scratch, "cache");
  try {
    return await analyze(folder, scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function analyze(folder, scratch) {
  const errors = [];
  const analyzer = new core.CodeAnalyzer(
    core.CodeAnalyzerConfig.fromObject({
      log_folder: scratch,
      root_working_folder: scratch,
      engines: { sfge: GRAPH_ENGINE },
    }),
  );
  for (const event of [core.EventType.LogEvent, core.EventType.EngineLogEvent]) {
    analyzer.onEvent(event, ({ logLevel, message }) => {
      if (logLevel === core.LogLevel.Error) {
        errors.push(message);
      }
    });
  }
  for (const engines of [pmd, sfge]) {
    await analyzer.addEnginePlugin(engines.createEnginePlugin());
  }
  const workspace = await analyzer.createWorkspace([path.join(folder, "force-app")]);
  const rules = await analyzer.selectRules(SELECTORS, { workspace });
  if (rules.getCount() < FEWEST_RULES) {
    errors.push(`only ${rules.getCount()} rules were selected, at least ${FEWEST_RULES} exist`);
  }
  const results = await analyzer.run(rules, { workspace });
  const problems = results.getViolations().map((violation) => lineOf(folder, violation));
  for (const message of errors) {
    if (!(await isOnSkippedPath(message))) {
      problems.push(`the analysis failed: ${message}`);
    }
  }
  return problems;
}

/**
 * Whether the Graph Engine gave up on a path whose entry point suppresses all of its rules anyway.
 *
 * It fails on maps that come out of `JSON.deserializeUntyped`, whatever is suppressed, and then asks
 * for just this directive.
 */
async function isOnSkippedPath(message) {
  const place = /^Internal execution error while scanning entry point: (.+?):(\d+):\d+:/.exec(
    message,
  );
  if (place === null) {
    return false;
  }
  const lines = (await readFile(place[1], "utf8")).split("\n");
  const above = lines[Number(place[2]) - 2] ?? "";
  return above.includes("sfge-disable-stack") && GRAPH_RULES.every((rule) => above.includes(rule));
}

function lineOf(folder, violation) {
  const place = violation.getPrimaryLocation();
  const file = place.getFile() ? path.relative(folder, place.getFile()) : "(no file)";
  const rule = `${violation.getRule().getEngineName()}:${violation.getRule().getName()}`;
  return `${file}:${place.getStartLine() ?? "?"} ${rule} ${violation.getMessage().replace(/\s+/g, " ")}`;
}
