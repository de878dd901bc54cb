/**
 * What the published configs say, as far as it shapes the networks.
 *
 * @module
 */

const SD_BLOCKS = {
  in_channels: 4,
  out_channels: 4,
  down_block_types: ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
  mid_block_type: "UNetMidBlock2DCrossAttn",
  up_block_types: ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
  block_out_channels: [320, 640, 1280, 1280],
  layers_per_block: 2,
  norm_num_groups: 32,
  norm_eps: 1e-5,
  act_fn: "silu",
};

export const SD14_UNET = { ...SD_BLOCKS, sample_size: 64, cross_attention_dim: 768, attention_head_dim: 8 };

export const SD21_UNET = {
  ...SD_BLOCKS,
  sample_size: 96,
  cross_attention_dim: 1024,
  attention_head_dim: [5, 10, 20, 20],
  use_linear_projection: true,
  upcast_attention: true,
};

export const SDXL_UNET = {
  in_channels: 4,
  out_channels: 4,
  sample_size: 128,
  down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
  mid_block_type: "UNetMidBlock2DCrossAttn",
  up_block_types: ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
  block_out_channels: [320, 640, 1280],
  layers_per_block: 2,
  transformer_layers_per_block: [1, 2, 10],
  attention_head_dim: [5, 10, 20],
  cross_attention_dim: 2048,
  use_linear_projection: true,
  addition_embed_type: "text_time",
  addition_time_embed_dim: 256,
  projection_class_embeddings_input_dim: 2816,
};

/** The distilled SDXL: fewer transformer blocks, other ones in the decoder, no attention in the middle. */
export const SSD1B_UNET = {
  ...SDXL_UNET,
  mid_block_type: "UNetMidBlock2D",
  transformer_layers_per_block: [1, [2, 2], [4, 4]],
  reverse_transformer_layers_per_block: [[4, 4, 10], [2, 1, 1], 1],
};

export const SD_VAE = {
  in_channels: 3,
  out_channels: 3,
  latent_channels: 4,
  block_out_channels: [128, 256, 512, 512],
  layers_per_block: 2,
  norm_num_groups: 32,
  act_fn: "silu",
  down_block_types: Array(4).fill("DownEncoderBlock2D"),
  up_block_types: Array(4).fill("UpDecoderBlock2D"),
};

export const SD14_TEXT = {
  architectures: ["CLIPTextModel"],
  vocab_size: 49408,
  max_position_embeddings: 77,
  hidden_size: 768,
  intermediate_size: 3072,
  num_attention_heads: 12,
  num_hidden_layers: 12,
  hidden_act: "quick_gelu",
};
