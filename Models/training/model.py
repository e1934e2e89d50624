"""A small Llama written for training speed, and its way into Hugging Face's layout."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class Shape:
    vocab_size: int = 2048
    hidden_size: int = 192
    intermediate_size: int = 512
    layers: int = 6
    heads: int = 6
    kv_heads: int = 2
    head_dim: int = 32
    max_positions: int = 1024
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5


class Layer(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        hidden, query = shape.hidden_size, shape.heads * shape.head_dim
        self.attention_norm = nn.Parameter(torch.ones(hidden))
        self.qkv = nn.Linear(hidden, query + 2 * shape.kv_heads * shape.head_dim, bias=False)
        self.output = nn.Linear(query, hidden, bias=False)
        self.mlp_norm = nn.Parameter(torch.ones(hidden))
        self.gate_up = nn.Linear(hidden, 2 * shape.intermediate_size, bias=False)
        self.down = nn.Linear(shape.intermediate_size, hidden, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """x: [rows, tokens, hidden]; cos, sin: [tokens, head_dim]; mask: [rows, 1, tokens, tokens], true is visible."""
        shape, (rows, tokens, hidden) = self.shape, x.shape
        heads = self.qkv(F.rms_norm(x, (hidden,), self.attention_norm, shape.norm_eps))
        heads = heads.view(rows, tokens, -1, shape.head_dim).transpose(1, 2)
        q, k, v = heads.split([shape.heads, shape.kv_heads, shape.kv_heads], dim=1)
        group = shape.heads // shape.kv_heads
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.output(mixed.transpose(1, 2).reshape(rows, tokens, -1))
        gate, up = self.gate_up(F.rms_norm(x, (hidden,), self.mlp_norm, shape.norm_eps)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Storyteller(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.Parameter(torch.ones(shape.hidden_size))
        frequencies = shape.rope_theta ** (-torch.arange(0, shape.head_dim, 2) / shape.head_dim)
        angles = torch.outer(torch.arange(shape.max_positions), frequencies).repeat(1, 2)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                is_residual = "output" in name or "down" in name
                nn.init.normal_(parameter, std=0.02 / (2 * shape.layers) ** 0.5 if is_residual else 0.02)

    def forward(self, tokens: Tensor, mask: Tensor, wanted: Tensor) -> Tensor:
        """tokens: [rows, tokens] to logits [n, vocab] of the n positions where `wanted` is true; the head is the embedding."""
        length = tokens.shape[1]
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, self.cos[:length], self.sin[:length], mask)
        x = F.rms_norm(x[wanted], (self.shape.hidden_size,), self.norm, self.shape.norm_eps)
        return F.linear(x, self.embedding.weight)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of the two halves of each head, in x's own type."""
    first, second = x.chunk(2, dim=-1)
    return (x * cos + torch.cat((-second, first), dim=-1) * sin).to(x.dtype)


def hugging_face_weights(model: Storyteller) -> dict[str, Tensor]:
    """The weights under LlamaForCausalLM's names, as bfloat16."""
    shape = model.shape
    kv = shape.kv_heads * shape.head_dim
    weights = {"model.embed_tokens.weight": model.embedding.weight, "model.norm.weight": model.norm}
    for index, layer in enumerate(model.layers):
        q, k, v = layer.qkv.weight.split([shape.heads * shape.head_dim, kv, kv])
        gate, up = layer.gate_up.weight.chunk(2)
        parts = {
            "input_layernorm": layer.attention_norm, "post_attention_layernorm": layer.mlp_norm,
            "self_attn.q_proj": q, "self_attn.k_proj": k, "self_attn.v_proj": v, "self_attn.o_proj": layer.output.weight,
            "mlp.gate_proj": gate, "mlp.up_proj": up, "mlp.down_proj": layer.down.weight,
        }  # fmt: skip
        weights |= {f"model.layers.{index}.{name}.weight": weight for name, weight in parts.items()}
    return {name: weight.detach().to(torch.bfloat16).contiguous() for name, weight in sorted(weights.items())}


@torch.no_grad()
def load_hugging_face_weights(model: Storyteller, weights: dict[str, Tensor]) -> None:
    """The inverse of `hugging_face_weights`."""
    model.embedding.weight.copy_(weights["model.embed_tokens.weight"])
    model.norm.copy_(weights["model.norm.weight"])
    for index, layer in enumerate(model.layers):
        part = {name: weights[f"model.layers.{index}.{name}.weight"] for name in LAYER_PARTS}
        layer.attention_norm.copy_(part["input_layernorm"])
        layer.mlp_norm.copy_(part["post_attention_layernorm"])
        layer.qkv.weight.copy_(torch.cat([part[f"self_attn.{name}_proj"] for name in "qkv"]))
        layer.output.weight.copy_(part["self_attn.o_proj"])
        layer.gate_up.weight.copy_(torch.cat([part["mlp.gate_proj"], part["mlp.up_proj"]]))
        layer.down.weight.copy_(part["mlp.down_proj"])


LAYER_PARTS = [
    "input_layernorm", "post_attention_layernorm",
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
]  # fmt: skip


def hugging_face_config(shape: Shape, end_tokens: list[int]) -> dict:
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "dtype": "bfloat16",
        "eos_token_id": end_tokens,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "hidden_size": shape.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": shape.intermediate_size,
        "max_position_embeddings": shape.max_positions,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "rms_norm_eps": shape.norm_eps,
        "rope_parameters": {"rope_theta": shape.rope_theta, "rope_type": "default"},
        "tie_word_embeddings": True,
        "use_cache": True,
        "vocab_size": shape.vocab_size,
    }
