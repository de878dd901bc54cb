/**
 * Cuts a graph into sections that run one after the other.
 *
 * Two things ask for it. The extraction pass ends at the last wanted queries and keys: what it
 * needs is the head, the rest the tail, and the noise pass is head and tail, so that each weight
 * is stored and loaded once. And 32-bit WebAssembly holds 4 GiB: sections bound what is loaded
 * at a time.
 *
 * @module
 */
import { type Constant, elements, type Graph, type Node, type Parameter, type Value } from "./graph.ts";

/** Part of a graph that makes one ONNX file. */
export interface Section {
  readonly nodes: readonly Node[];
  /** Inputs of the graph and values of earlier sections. */
  readonly inputs: readonly Value[];
  /** Outputs of the graph and values that later sections need. */
  readonly outputs: readonly Value[];
  readonly parameters: readonly Parameter[];
  readonly constants: readonly Constant[];
  /** True where the wanted outputs need it. */
  readonly head: boolean;
}

/**
 * Cuts `graph` so that the sections of `head` give all outputs for which `wanted` holds, and no
 * section has more than `maxWeights` weights (unless a single operator has).
 */
export function cutSections(
  graph: Graph,
  wanted: (output: string) => boolean,
  maxWeights = Infinity,
): readonly Section[] {
  const needed = ancestors(graph, graph.outputs.filter(({ name }) => wanted(name)));
  const head = graph.nodes.filter((node) => needed.has(node));
  const tail = graph.nodes.filter((node) => !needed.has(node));
  const groups = [head, tail].map((nodes) => groupBySize(graph, nodes, maxWeights));
  const all = groups.flat();
  return all.map((nodes, i) => toSection(graph, nodes, all.slice(i + 1).flat(), i < groups[0]!.length))
    .filter(({ outputs }) => outputs.length > 0);
}

function ancestors(graph: Graph, outputs: readonly Value[]): Set<Node> {
  const wanted = new Set(outputs.map(({ name }) => name));
  const nodes = new Set<Node>();
  for (const node of graph.nodes.toReversed()) {
    if (!node.output.some(({ name }) => wanted.has(name))) continue;
    nodes.add(node);
    for (const input of node.inputs) wanted.add(input);
  }
  return nodes;
}

function groupBySize(graph: Graph, nodes: readonly Node[], maxWeights: number): Node[][] {
  const groups: Node[][] = [];
  let [group, weights]: [Node[], number] = [[], 0];
  for (const node of nodes) {
    const own = node.inputs.reduce((n, input) => n + elements(graph.parameters.get(input)?.shape ?? [0]), 0);
    if (group.length > 0 && weights + own > maxWeights) {
      groups.push(group);
      [group, weights] = [[], 0];
    }
    group.push(node);
    weights += own;
  }
  if (group.length > 0) groups.push(group);
  return groups;
}

function toSection(graph: Graph, nodes: readonly Node[], later: readonly Node[], head: boolean): Section {
  const made = new Map<string, Value>();
  for (const { output } of nodes) output.forEach((value) => made.set(value.name, value));
  const used = new Set(
    nodes.flatMap(({ inputs }) => inputs).filter((name) => name !== "" && !made.has(name)),
  );
  const values = new Map<string, Value>(graph.inputs.map((value) => [value.name, value]));
  for (const { output } of graph.nodes) output.forEach((value) => values.set(value.name, value));
  const usedLater = new Set(later.flatMap(({ inputs }) => inputs));
  const outputNames = new Set(graph.outputs.map(({ name }) => name));
  return {
    nodes,
    inputs: [...used].flatMap((name) => values.get(name) ?? []),
    outputs: [...made.values()].filter(({ name }) => usedLater.has(name) || outputNames.has(name)),
    parameters: [...used].flatMap((name) => graph.parameters.get(name) ?? []),
    constants: [...used].flatMap((name) => graph.constants.get(name) ?? []),
    head,
  };
}
