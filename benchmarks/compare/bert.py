"""The trained sentence encoder in PyTorch, with its ONNX graph's weights; imported only where torch is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from benchmarks.compare.twins import layer, tensor

if TYPE_CHECKING:
    import onnx

__all__ = ["Bert"]


class Bert(nn.Module):
    """The encoder in the trained sentence model, from embedded tokens (N, T, 384) to the mean (N, 384).

    Parameters
    ----------
    model
        The ONNX graph, whose weights it takes: by name, or in the order of the products.
    """

    heads = 12

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        held = {t.name: tensor(t) for t in model.graph.initializer}
        root = "model.0.auto_model."
        self.words = nn.Embedding.from_pretrained(held[f"{root}embeddings.word_embeddings.weight"])
        self.places = held[f"{root}embeddings.position_embeddings.weight"]
        self.kind = held[f"{root}embeddings.token_type_embeddings.weight"][0]
        self.norm = self._norm(held, f"{root}embeddings.LayerNorm")
        products = [n.input[1] for n in model.graph.node if n.op_type == "MatMul" and n.input[1] in held]
        names = (
            "attention.self.query", "attention.self.key", "attention.self.value",
            "attention.output.dense", "intermediate.dense", "output.dense",
        )  # fmt: skip
        self.layers = nn.ModuleList()
        for k in range(len(products) // len(names)):
            parts = nn.ModuleDict()
            for name, product in zip(names, products[k * len(names) :], strict=False):
                bias = held[f"{root}encoder.layer.{k}.{name}.bias"]
                parts[name.replace(".", "_")] = layer("MatMul", [held[product], bias], {})
            for name in ("attention.output", "output"):
                parts[f"{name}.norm".replace(".", "_")] = self._norm(
                    held, f"{root}encoder.layer.{k}.{name}.LayerNorm"
                )
            self.layers.append(parts)
        self.eval().requires_grad_(False)

    @staticmethod
    def _norm(held: dict[str, torch.Tensor], name: str) -> nn.LayerNorm:
        norm = nn.LayerNorm(len(held[f"{name}.weight"]), 1e-12)
        norm.weight.data.copy_(held[f"{name}.weight"])
        norm.bias.data.copy_(held[f"{name}.bias"])
        return norm

    def forward(self, embedded: torch.Tensor) -> torch.Tensor:
        """Return the mean over the tokens, all of which count."""
        n, t, width = embedded.shape
        x = self.norm(embedded + self.kind + self.places[:t])

        def apart(y: torch.Tensor) -> torch.Tensor:
            return y.view(n, t, self.heads, width // self.heads).transpose(1, 2)

        for parts in self.layers:
            q, k, v = (apart(parts[f"attention_self_{p}"](x)) for p in ("query", "key", "value"))
            mixed = nn.functional.scaled_dot_product_attention(q, k, v)
            y = parts["attention_output_dense"](mixed.transpose(1, 2).reshape(n, t, width))
            x = parts["attention_output_norm"](x + y)
            y = parts["output_dense"](nn.functional.gelu(parts["intermediate_dense"](x)))
            x = parts["output_norm"](x + y)
        return x.mean(1)
