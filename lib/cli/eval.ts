/**
 * `walkcut eval`: label maps against ground truth, the paper's tables, steadiness in time.
 *
 * @module
 */
import { ExitCode, UsageError } from "../errors.ts";
import { helpText, parseCommand } from "./command.ts";
import { evaluateImages } from "./eval_images.ts";
import { evalCommand, requireTaken } from "./eval_options.ts";
import { evaluateTable } from "./eval_table.ts";
import { evaluateDavis, evaluateScene, evaluateVideo } from "./eval_video.ts";

export { evalCommand };

/** Runs the command; resolves to its exit code. */
export async function evaluate(args: string[]): Promise<number> {
  const { values, help } = parseCommand(evalCommand, args);
  if (help) {
    console.log(helpText(evalCommand));
    return ExitCode.Done;
  }
  const modes = [
    ["video", "--video"],
    ["scene", "--scene"],
    ["table", "--table"],
    ["images", "--images"],
  ] as const;
  const given = modes.filter(([name]) => values[name] !== undefined).map(([, option]) => option);
  if (values.dataset && values.images) given.push("--images" as never);
  if (given.length > 1 && !(given.length === 2 && values.table && values.images && !values.dataset)) {
    throw new UsageError({
      what: "Cannot score several things at once",
      found: values.dataset && values.images ? "--images and --dataset" : given.join(" and "),
      advice: "give one of them",
    });
  }
  if ((values.worst === undefined) !== (values.out === undefined)) {
    throw new UsageError({
      what: "--worst and --out go together",
      advice: "give both, as --worst 20 --out worst",
    });
  }
  const [way, run] = values.video !== undefined
    ? ["--video", evaluateVideo] as const
    : values.scene !== undefined
    ? ["--scene", evaluateScene] as const
    : values.table !== undefined
    ? ["--table", evaluateTable] as const
    : values.dataset === "davis"
    ? ["--dataset davis", evaluateDavis] as const
    : ["--images", evaluateImages] as const;
  requireTaken(values, way);
  return await run(values);
}
