/**
 * The sfdx project that a tool works on: this one, or a copy of it that a test has prepared.
 */
import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The folder `apex/` that these tools live in. */
export const APEX_FOLDER = path.resolve(fileURLToPath(import.meta.url), "../..");

/** Where the classes and triggers lie that are shipped and measured, seen from the project. */
export const SHIPPED = "force-app/main/default";

/** Where the Apex tests lie, seen from the project. */
export const TESTS = "force-app/test";

/**
 * What sfdx-project.json says.
 * @param {string} folder of the project
 */
export async function readProject(folder) {
  return JSON.parse(await readFile(path.join(folder, "sfdx-project.json"), "utf8"));
}

/**
 * The files below a folder with one of these endings, as absolute paths in a stable order.
 * An absent folder holds none.
 * @param {string} folder
 * @param {string[]} endings such as '.cls'
 * @returns {Promise<string[]>}
 */
export async function filesBelow(folder, endings) {
  let entries;
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (error.code === "ENOENT") {
      return [];
    }
    throw error;
  }
  const found = await Promise.all(
    entries.map((entry) => {
      const full = path.join(folder, entry.name);
      if (entry.isDirectory()) {
        return filesBelow(full, endings);
      }
      return endings.some((ending) => entry.name.endsWith(ending)) ? [full] : [];
    }),
  );
  return found.flat().sort();
}
