/**
 * The Worker's side of {@linkcode Segmenter}: GPU and wasm block their thread, so
 * they get one of their own.
 *
 * @module
 */
import { FrameSegmenter } from "./frame_segmenter.ts";
import type { SegmentedFrame, SegmenterInfo, SegmenterOptions } from "./segmenter.ts";
import { framePlanes, type PackedFrame, packFrame, unpackFrame } from "./source/planes.ts";
import { crashOf, type ErrorData, errorData } from "./worker_errors.ts";

/** What the worker is told. */
export type ToWorker =
  | { readonly kind: "open"; readonly options: SegmenterOptions }
  | { readonly kind: "frame"; readonly frame: PackedFrame }
  | { readonly kind: "close" };

/** What the worker answers. */
export type FromWorker =
  | { readonly kind: "ready"; readonly info: SegmenterInfo }
  | { readonly kind: "note"; readonly line: string }
  | { readonly kind: "labelled"; readonly result: Omit<SegmentedFrame, "frame"> & { frame: PackedFrame } }
  | { readonly kind: "error"; readonly error: ErrorData }
  | { readonly kind: "closed" };

// Not `self`: ONNX Runtime takes that name away from Workers that start after it has loaded.
const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  postMessage(message: FromWorker, transfer?: Transferable[]): void;
  addEventListener(name: "error" | "unhandledrejection", listener: (event: Event) => void): void;
};

// Deno would print what nothing caught, with its stack, before the other side can say it in one line.
for (const name of ["error", "unhandledrejection"] as const) {
  scope.addEventListener(name, (event) => {
    event.preventDefault();
    const thrown = event instanceof PromiseRejectionEvent ? event.reason : (event as ErrorEvent).error;
    scope.postMessage({ kind: "error", error: errorData(crashOf(thrown)) });
  });
}

let segmenter: FrameSegmenter | undefined;
let interval = Infinity;
let lastSnapshot = 0;
let queue = Promise.resolve();
let delivered = Promise.resolve();

// One message after the other; how far frames overlap is the segmenter's to say.
scope.onmessage = ({ data }) => {
  queue = queue.then(() => handle(data)).catch(fail);
};

function fail(error: unknown): void {
  scope.postMessage({ kind: "error", error: errorData(error) });
}

async function handle(message: ToWorker): Promise<void> {
  switch (message.kind) {
    case "open":
      interval = (message.options.snapshots ?? Infinity) * 1000;
      segmenter = await FrameSegmenter.create(
        message.options,
        (line) => scope.postMessage({ kind: "note", line }),
      );
      scope.postMessage({ kind: "ready", info: segmenter.info });
      break;
    case "frame": {
      const result = segmenter!.segment(unpackFrame(message.frame)).then((labelled) => ({
        ...labelled,
        frame: packFrame(labelled.frame, framePlanes(labelled.frame)),
        ...(snapshotIsDue() ? { snapshot: segmenter!.snapshot() } : {}),
      }));
      // Whoever waits for it sees the error, in the order of frames.
      result.catch(() => {});
      delivered = delivered.then(async () => {
        const labelled = await result;
        scope.postMessage(
          { kind: "labelled", result: labelled },
          [labelled.labels.buffer, labelled.frame.data.buffer],
        );
      }).catch(fail);
      break;
    }
    case "close":
      await segmenter?.close();
      await delivered;
      scope.postMessage({ kind: "closed" });
  }
}

function snapshotIsDue(): boolean {
  const now = performance.now();
  if (now - lastSnapshot < interval) return false;
  lastSnapshot = now;
  return true;
}
