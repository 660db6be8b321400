/**
 * From the source to what the Metadata API deploys.
 */
import path from "node:path";
import { readFile } from "node:fs/promises";
import JSZip from "jszip";
import { filesBelow, readProject } from "./project.mjs";

// Salesforce's library would else write a log below the home folder and ask for telemetry.
process.env.SF_DISABLE_LOG_FILE = "true";
process.env.SF_DISABLE_TELEMETRY = "true";
const { ComponentSet, MetadataConverter } = await import("@salesforce/source-deploy-retrieve");

/** The earliest time that a zip entry can carry: the same source makes the same bytes. */
const EPOCH = new Date(Date.UTC(1980, 0, 1));

const REMOTE_SITE = "remoteSiteSettings/Penstock.remoteSite";

/**
 * Convert a project's source into a zip in metadata format, with package.xml at its root.
 *
 * The endpoint takes the place that sfdx-project.json names under `replacements`; the source stays
 * as it is. The zip depends on the source and the endpoint alone.
 *
 * @param {string} folder of the project
 * @param {string} endpoint origin of ingest, such as https://ingest.example.com
 * @returns {Promise<{zip: Buffer, componentCount: number}>}
 * @throws {Error} a component is incomplete, unknown, or of another API version than the project's;
 *   or the remote site does not take the endpoint
 */
export async function convert(folder, endpoint) {
  const project = await readProject(folder);
  const roots = project.packageDirectories.map((directory) => path.join(folder, directory.path));
  await requireMetadata(roots, project.sourceApiVersion);

  const components = ComponentSet.fromSource({ fsPaths: roots });
  components.sourceApiVersion = project.sourceApiVersion;
  components.projectDirectory = folder;
  process.env.INGEST_ENDPOINT = endpoint;
  const { zipBuffer } = await new MetadataConverter().convert(components, "metadata", {
    type: "zip",
  });

  const converted = await JSZip.loadAsync(zipBuffer);
  const remoteSite = await converted.file(REMOTE_SITE)?.async("string");
  if (!remoteSite?.includes(`<url>${endpoint}</url>`)) {
    throw new Error(`${REMOTE_SITE} does not take the endpoint: is its placeholder in place?`);
  }
  return {
    zip: await repeatable(converted),
    componentCount: components.getSourceComponents().toArray().length,
  };
}

/** The same files in the order of their names, all of one date. */
async function repeatable(converted) {
  const zip = new JSZip();
  for (const name of Object.keys(converted.files).sort()) {
    if (!converted.files[name].dir) {
      const content = await converted.files[name].async("nodebuffer");
      zip.file(name, content, { date: EPOCH, createFolders: false });
    }
  }
  return zip.generateAsync({ type: "nodebuffer", compression: "DEFLATE", platform: "DOS" });
}

/**
 * The library leaves code without its metadata out and says nothing; and a class of another API
 * version than the others behaves by other rules.
 */
async function requireMetadata(roots, apiVersion) {
  const code = await Promise.all(roots.map((root) => filesBelow(root, [".cls", ".trigger"])));
  for (const file of code.flat()) {
    const metadata = await readFile(`${file}-meta.xml`, "utf8");
    const [, version] = /<apiVersion>(.*?)<\/apiVersion>/.exec(metadata) ?? [];
    if (version !== apiVersion) {
      throw new Error(
        `${path.basename(file)}: apiVersion is ${version}, the project's is ${apiVersion}`,
      );
    }
  }
}
