"""What is measured: one row of the table, the same for every engine."""

from dataclasses import dataclass
from typing import Literal

Phase = Literal["prefill", "decode"]


@dataclass(frozen=True)
class Row:
    shape: str
    dtype: str  # "bfloat16" or "int8": of the weights
    threads: int
    phase: Phase
    tokens: int = 0  # prefill: length of the one prompt
    batch: int = 0  # decode: sequences that go on together
    context: int = 0  # decode: tokens each has at the first timed step
    steps: int = 0  # decode: timed steps

    @property
    def size(self) -> str:
        return f"{self.tokens} tokens" if self.phase == "prefill" else f"B = {self.batch}"

    def __str__(self) -> str:
        return f"{self.shape} {self.dtype} {self.threads}T {self.phase} {self.size}"
