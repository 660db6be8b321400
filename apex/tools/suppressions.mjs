/**
 * Every suppression in the source names its rules and carries its reason: behind the marker on its
 * line, or as `//` comment directly above it. Neighbouring markers may share the comment.
 */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { filesBelow } from "./project.mjs";

/** What the engines honour: the marker, the rules that it names, and what follows on its line. */
const MARKERS = [
  /@SuppressWarnings\((?<rules>[^)]*)\)?(?<rest>.*)/i,
  /NOPMD(?<rules>(?:\s+[A-Z]\w+,?)*)(?<rest>.*)/,
  /sfge-disable(?:-next-line|-stack)?(?<rules>[\w\s,]*)(?<rest>.*)/,
  /code-analyzer-suppress(?:\((?<rules>[^)]*)\))?(?<rest>.*)/i,
];

/** Fewer letters than this say nothing. */
const SHORTEST_REASON = 10;

/**
 * Find the suppressions that do not say what they suppress, or why.
 * @param {string} folder of the project
 * @returns {Promise<string[]>} one line per bare suppression
 */
export async function bareSuppressions(folder) {
  const found = [];
  for (const file of await filesBelow(path.join(folder, "force-app"), [
    ".cls",
    ".trigger",
    ".xml",
  ])) {
    const lines = (await readFile(file, "utf8")).split("\n");
    for (const [index, line] of lines.entries()) {
      const marker = markerIn(line);
      const place = `${path.relative(folder, file)}:${index + 1}`;
      if (marker !== null && !/\w/.test(marker.rules ?? "")) {
        found.push(`${place} a suppression must name its rules`);
      } else if (marker !== null && !isReason(marker.rest) && !isExplained(lines, index)) {
        found.push(
          `${place} a suppression must carry its reason, behind it or as // line above it`,
        );
      }
    }
  }
  return found;
}

function markerIn(line) {
  const match = MARKERS.map((marker) => marker.exec(line)).find((found) => found !== null);
  return match?.groups ?? null;
}

/** Whether the first line above that is no marker itself is a comment with a reason. */
function isExplained(lines, index) {
  let above = index - 1;
  while (above >= 0 && markerIn(lines[above]) !== null) {
    above -= 1;
  }
  const comment = /^\s*\/\/(?<text>.*)/.exec(lines[above] ?? "");
  return comment !== null && isReason(comment.groups.text);
}

function isReason(text) {
  return text.replace(/[^\p{L}]/gu, "").length >= SHORTEST_REASON;
}
