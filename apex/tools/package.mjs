/**
 * Writes the package that an admin deploys, with the endpoint of one's own ingest in it.
 *
 *   node tools/package.mjs ENDPOINT ZIP [PROJECT]
 *
 * Exit code 2: the endpoint is missing or unfit; nothing is written.
 */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { APEX_FOLDER, TESTS, filesBelow } from "./project.mjs";

/**
 * The origin that a remote site setting and a callout need.
 * @param {string} text as an operator wrote it
 * @returns {string} such as https://ingest.example.com
 * @throws {RangeError} it is anything but https, a host name and perhaps a port
 */
function originOf(text) {
  const example = "for example ENDPOINT=https://ingest.example.com";
  if (!text) {
    throw new RangeError(`ENDPOINT is missing: say where ingest is reached, ${example}`);
  }
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null) {
    throw new RangeError(`ENDPOINT is no URL, ${example}`);
  }
  if (url.protocol !== "https:") {
    throw new RangeError(`ENDPOINT must be https: callouts carry records, ${example}`);
  }
  if (url.username || url.password) {
    throw new RangeError(
      `ENDPOINT must carry no credentials: every admin could read them, ${example}`,
    );
  }
  if (!/^https:\/\/[a-z0-9][a-z0-9.-]*(:\d+)?\/?$/i.test(text)) {
    throw new RangeError(
      `ENDPOINT must be a host and perhaps a port, without path or query, ${example}`,
    );
  }
  return url.origin;
}

/**
 * The line that deploys it. Only our own tests run: other people's may fail for their own reasons.
 * @param {string} zip
 * @param {string[]} tests names of the test classes
 */
function deployLine(zip, tests) {
  const named = tests.map((test) => `--tests ${test}`).join(" ");
  const level = tests.length > 0 ? ` --test-level RunSpecifiedTests ${named}` : "";
  return `sf project deploy start --metadata-dir ${zip} --single-package${level} --target-org YOUR_ORG`;
}

const [endpoint, zip, folder = APEX_FOLDER] = process.argv.slice(2);
let origin;
try {
  origin = originOf(endpoint);
} catch (error) {
  if (!(error instanceof RangeError)) {
    throw error;
  }
  console.error(error.message);
  process.exit(2);
}
// Loading the library takes a second: a refusal comes without it.
const { convert } = await import("./convert.mjs");
const made = await convert(path.resolve(folder), origin);
const tests = (await filesBelow(path.join(folder, TESTS), ["Test.cls"])).map((file) =>
  path.basename(file, ".cls"),
);
await mkdir(path.dirname(path.resolve(zip)), { recursive: true });
await writeFile(zip, made.zip);
console.log(`${zip} (${made.componentCount} components, callouts to ${origin}). To deploy it:`);
console.log(deployLine(zip, tests));
