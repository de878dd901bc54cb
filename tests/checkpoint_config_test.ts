import { assertEquals, assertThrows } from "@std/assert";
import { parseTextConfig, parseUNetConfig, parseVaeConfig } from "../lib/checkpoint/config.ts";
import { countParameters } from "../lib/checkpoint/graph.ts";
import { buildTextEncoder } from "../lib/checkpoint/text_encoder.ts";
import { buildUNet } from "../lib/checkpoint/unet.ts";
import { buildVaeEncoder, vaeDecoderParameters } from "../lib/checkpoint/vae.ts";
import { UsageError } from "../lib/errors.ts";
import { SD14_TEXT, SD14_UNET, SD21_UNET, SD_VAE, SDXL_UNET, SSD1B_UNET } from "./checkpoint_configs.ts";

function unet(config: unknown) {
  return buildUNet(parseUNetConfig(config, "unet/config.json"), "float32");
}

Deno.test("buildUNet() has as many weights as the published networks", () => {
  const counts = [SD14_UNET, SD21_UNET, SDXL_UNET].map((c) => countParameters(unet(c).parameters.values()));
  assertEquals(counts, [859_520_964, 865_910_724, 2_567_463_684]);
});

Deno.test("buildUNet() has 1.33 thousand million weights for the asymmetric config of SSD-1B", () => {
  assertEquals(countParameters(unet(SSD1B_UNET).parameters.values()), 1_331_334_404);
});

Deno.test("buildVaeEncoder() and the decoder's table have as many weights as the published VAE", () => {
  const config = parseVaeConfig(SD_VAE, "vae/config.json");
  const encoder = [...buildVaeEncoder(config, "float32").parameters.values()];
  assertEquals(countParameters([...encoder, ...vaeDecoderParameters(config)]), 83_653_863);
});

Deno.test("buildTextEncoder() has as many weights as the published encoder", () => {
  const config = parseTextConfig(SD14_TEXT, "text_encoder/config.json");
  assertEquals(countParameters(buildTextEncoder(config, "float32", false).parameters.values()), 123_060_480);
});

Deno.test("buildUNet() lists the self-attention layers in the order in which they run", () => {
  const layers = unet(SD14_UNET).layers;
  assertEquals(layers.length, 16);
  assertEquals(
    layers.map(({ part, level }) => `${part}${level}`).join(" "),
    "down0 down0 down1 down1 down2 down2 mid3 up2 up2 up2 up1 up1 up1 up0 up0 up0",
  );
  assertEquals(layers.at(-1)!.name, "up_blocks.3.attentions.2.transformer_blocks.0.attn1");
  assertEquals(unet(SDXL_UNET).layers.map(({ level }) => level).includes(0), false);
});

Deno.test("parse…Config() names the field that it cannot use", () => {
  const bad: [Record<string, unknown>, RegExp][] = [
    [
      { down_block_types: Array(4).fill("AttnDownBlock2D") },
      /down_block_types has an unknown type.*: AttnDownBlock2D;/,
    ],
    [{ mid_block_type: "UNetMidBlock2DSimpleCrossAttn" }, /mid_block_type has an unknown type/],
    [{ up_block_types: ["UpBlock2D"] }, /up_block_types must be a list of 4 names/],
    [{ class_embed_type: "timestep" }, /class_embed_type must be null: "timestep"/],
    [{ resnet_time_scale_shift: "scale_shift" }, /resnet_time_scale_shift must be "default"/],
    [{ attention_head_dim: 7 }, /attention_head_dim must be divisors/],
    [{ block_out_channels: [320, -1, 1280, 1280] }, /block_out_channels must be a list of whole numbers/],
    [{ block_out_channels: undefined }, /block_out_channels must be .*: nothing/],
    [{ norm_eps: "small" }, /norm_eps must be a number/],
    [{ transformer_layers_per_block: [1, 2] }, /transformer_layers_per_block must be/],
    [{ addition_embed_type: "image" }, /addition_embed_type must be null or text_time/],
  ];
  for (const [change, pattern] of bad) {
    const error = assertThrows(
      () => parseUNetConfig({ ...SD14_UNET, ...change }, "unet/config.json"),
      UsageError,
    );
    assertEquals(pattern.test(error.message), true, error.message);
    assertEquals(error.message.includes("\n"), false);
  }
  assertThrows(() => parseVaeConfig({ ...SD_VAE, act_fn: "relu" }, "vae/config.json"), UsageError, "act_fn");
  assertThrows(
    () => parseTextConfig({ ...SD14_TEXT, architectures: ["T5EncoderModel"] }, "t"),
    UsageError,
    "T5",
  );
});
