/**
 * Running another program to its end.
 */
import { execFile } from "node:child_process";

/** Longer than this and it hangs. */
const TIMEOUT_MS = 120_000;
const MOST_OUTPUT_BYTES = 16 * 1024 * 1024;

/**
 * Run a program and return what it said, whatever its exit code.
 * @param {string} program
 * @param {string[]} args
 * @param {{cwd?: string}} options
 * @returns {Promise<{code: number, stdout: string, stderr: string}>}
 * @throws {Error} it is not there, or was ended: by the timeout, or for saying too much
 */
export function run(program, args, options = {}) {
  const bounds = { timeout: TIMEOUT_MS, maxBuffer: MOST_OUTPUT_BYTES };
  return new Promise((resolve, reject) => {
    execFile(program, args, { ...options, ...bounds }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== "number") {
        reject(error);
      } else {
        resolve({ code: error?.code ?? 0, stdout, stderr });
      }
    });
  });
}
