import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Tokenizer } from "../lib/checkpoint/tokenizer.ts";
import { UsageError } from "../lib/errors.ts";
import { tinyVocabulary } from "./checkpoint_make.ts";

const [BEGIN, END] = ["<|startoftext|>", "<|endoftext|>"];

function tokenizer(
  merges: string[],
  extra: string[] = [],
): { tokenizer: Tokenizer; spell: (ids: readonly number[]) => string[] } {
  const joined = merges.map((pair) => pair.replace(" ", ""));
  const names = [...new Set([...Object.keys(tinyVocabulary()), ...joined, ...extra])];
  const vocabulary = new Map(names.map((name, id) => [name, id]));
  return {
    tokenizer: new Tokenizer(vocabulary, merges, vocabulary.get(END)!, "tokenizer"),
    spell: (ids) => ids.map((id) => names[id]!),
  };
}

Deno.test("Tokenizer.encode() surrounds and pads the text", () => {
  const { tokenizer: t, spell } = tokenizer([]);
  const empty = t.encode("", 5);
  assertEquals([spell(empty.ids), empty.end], [[BEGIN, END, END, END, END], 1]);
  const cut = t.encode("abcdef", 4);
  assertEquals([spell(cut.ids), cut.end], [[BEGIN, "a", "b", END], 3]);
});

Deno.test("Tokenizer.encode() merges pairs in the order in which they were learned", () => {
  const { tokenizer: t, spell } = tokenizer(["l o", "lo w</w>", "e r</w>", "o w</w>"]);
  assertEquals(spell(t.encode("low lower", 8).ids), [BEGIN, "low</w>", "lo", "w", "er</w>", END, END, END]);
  // "o w" was learned after "l o": it is only joined where no l stands before it.
  assertEquals(spell(t.encode("ow", 4).ids), [BEGIN, "ow</w>", END, END]);
});

Deno.test("Tokenizer.encode() merges the pair learned first, wherever it stands", () => {
  const { tokenizer: t, spell } = tokenizer(["b c</w>", "a b"]);
  assertEquals(spell(t.encode("abc", 4).ids), [BEGIN, "a", "bc</w>", END]);
});

Deno.test("Tokenizer.encode() splits words, digits, signs and contractions, in lower case", () => {
  const { tokenizer: t, spell } = tokenizer(["i t</w>", "' s</w>"]);
  assertEquals(spell(t.encode("  It's\n42!? ", 10).ids), [
    BEGIN,
    "it</w>",
    "'s</w>",
    "4</w>",
    "2</w>",
    "!",
    "?</w>",
    END,
    END,
    END,
  ]);
});

Deno.test("Tokenizer.encode() spells other letters by their bytes", () => {
  const { tokenizer: t, spell } = tokenizer([], ["Ã", "¼</w>"]);
  assertEquals(spell(t.encode("Ü", 4).ids), [BEGIN, "Ã", "¼</w>", END]);
  assertThrows(() => t.encode("ß", 4), UsageError, "a token is missing in vocab.json");
});

Deno.test("Tokenizer.open() reads a checkpoint's files and their padding", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await assertRejects(() => Tokenizer.open(folder), UsageError, "needs vocab.json and merges.txt");
    await Deno.writeTextFile(`${folder}/vocab.json`, JSON.stringify(tinyVocabulary()));
    await Deno.writeTextFile(`${folder}/merges.txt`, "#version: 0.2\n");
    const end = tinyVocabulary()[END]!;
    assertEquals((await Tokenizer.open(folder)).encode("", 3).ids, [end - 1, end, end]);
    await Deno.writeTextFile(`${folder}/tokenizer_config.json`, JSON.stringify({ pad_token: "!" }));
    assertEquals((await Tokenizer.open(folder)).encode("", 4).ids, [end - 1, end, 0, 0]);
    await Deno.writeTextFile(`${folder}/vocab.json`, "{");
    await assertRejects(() => Tokenizer.open(folder), UsageError, "vocab.json is not JSON");
    await Deno.writeTextFile(`${folder}/vocab.json`, "{}");
    await assertRejects(() => Tokenizer.open(folder), UsageError, "a token is missing");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
