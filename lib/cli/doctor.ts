/**
 * `walkcut doctor`: what is there, what is missing, how to get it.
 *
 * @module
 */
import { ExitCode } from "../errors.ts";
import {
  checkAdapter,
  checkDeno,
  checkFfmpeg,
  checkNetwork,
  checkPermissions,
  type Finding,
} from "../setup/checks.ts";
import { fix, linesFor, type Part } from "../setup/fix.ts";
import { helpText, parseCommand } from "./command.ts";
import { doctorCommand } from "./options.ts";
import { writeStderr } from "./progress.ts";

/** Runs the command; resolves to its exit code. */
export async function doctor(args: readonly string[]): Promise<number> {
  const { values, help } = parseCommand(doctorCommand, args);
  if (help) {
    console.log(helpText(doctorCommand));
    return ExitCode.Done;
  }
  const say = (line: string) => writeStderr(`walkcut: ${line}\n`);
  const withGpu = values["with-gpu"] === true;
  let findings = await examine(withGpu || !values.quiet);
  const parts = missingParts(findings, withGpu);
  if (values.fix && parts.length > 0) {
    if ((await Deno.permissions.query({ name: "run" })).state !== "granted") {
      say("Deno is not allowed to run apt-get here; use deno task doctor --fix");
    } else if (await fix(parts, say)) findings = await again(findings, parts);
    else {
      say("cannot install packages here: this user is neither root nor has sudo without a password; run");
      linesFor(parts).forEach((line) => writeStderr(`  ${line}\n`));
    }
  }
  const code = exitCode(findings, withGpu);
  if (!values.quiet || code !== ExitCode.Done) {
    {
      findings.forEach((finding) => writeStderr(`${describe(finding, withGpu)}\n`));
    }
  }
  if (code !== ExitCode.Done && !values.fix && parts.length > 0) {
    say("walkcut doctor --fix installs what is missing");
  }
  return code;
}

async function examine(adapter: boolean): Promise<Finding[]> {
  return [
    checkDeno(),
    ...await Promise.all([checkFfmpeg(), checkNetwork(), checkPermissions()]),
    ...(adapter ? [await checkAdapter()] : []),
  ];
}

function missingParts(findings: readonly Finding[], withGpu: boolean): Part[] {
  const lacks = (name: Finding["name"]) => findings.some((f) => f.name === name && f.advice !== undefined);
  return [
    ...(lacks("ffmpeg") ? ["ffmpeg" as const] : []),
    ...(withGpu && lacks("WebGPU") ? ["vulkan" as const] : []),
  ];
}

/** Looks again for what was installed; drivers are found by a new process only. */
async function again(findings: readonly Finding[], parts: readonly Part[]): Promise<Finding[]> {
  const fresh = {
    ffmpeg: await checkFfmpeg(),
    adapter: parts.includes("vulkan") ? await adapterInNewProcess() : undefined,
  };
  return findings.map((f) =>
    f.name === "ffmpeg" ? fresh.ffmpeg : f.name === "WebGPU" && fresh.adapter ? fresh.adapter : f
  );
}

async function adapterInNewProcess(): Promise<Finding> {
  const checks = new URL("../setup/checks.ts", import.meta.url).href;
  const code = `import { checkAdapter } from ${
    JSON.stringify(checks)
  }; console.log(JSON.stringify(await checkAdapter()));`;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", code],
    stdin: "null",
    stderr: "null",
  }).output();
  try {
    return JSON.parse(new TextDecoder().decode(stdout)) as Finding;
  } catch {
    return await checkAdapter();
  }
}

function exitCode(findings: readonly Finding[], withGpu: boolean): number {
  const missing = new Set(findings.filter(({ found }) => !found).map(({ name }) => name));
  if (missing.has("ffmpeg")) return ExitCode.Ffmpeg;
  if (withGpu && missing.has("WebGPU")) return ExitCode.NoDevice;
  missing.delete("WebGPU");
  return missing.size > 0 ? ExitCode.Failed : ExitCode.Done;
}

function describe({ name, found, says, advice }: Finding, withGpu: boolean): string {
  const state = found ? "ok" : name === "WebGPU" && !withGpu ? "--" : "!!";
  return `${state} ${name.padEnd(12)} ${says}${advice ? `; ${advice}` : ""}`;
}
