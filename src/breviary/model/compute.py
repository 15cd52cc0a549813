"""In which precision a backbone is loaded, and on which device it computes."""

import sys
from pathlib import Path
from typing import Any, Literal

from breviary import config
from breviary.model import determinism


class Options(config.Options):
    """bf16 or fp32 arithmetic; weights as they are, or quantised when loaded (bitsandbytes)."""

    precision: Literal["fp32", "bf16"]
    quantisation: Literal["none", "nf4", "int8"]


def prepare(runtime: config.Runtime) -> None:
    """Fix what decides the bits of a result on one machine: threads, seeds, deterministic kernels."""
    import torch

    determinism.enforce(runtime)
    torch.set_num_threads(runtime.threads)
    torch.manual_seed(runtime.seed)


def quiet() -> None:
    """Draw transformers' progress bars on a terminal only, as ours are."""
    from transformers.utils import logging

    if not sys.stderr.isatty():
        logging.disable_progress_bar()


def load(folder: Path, options: Options) -> Any:
    """The frozen causal language model of `folder`, quantised if asked for, on the GPU where there is one.

    nf4 is QLoRA's: 4-bit NormalFloat with double quantisation, arXiv:2305.14314. int8 is LLM.int8(), arXiv:2208.07339.
    """
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    quiet()
    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype,
        quantization_config=_quantisation(options.quantisation, dtype),
        device_map={"": torch.cuda.current_device()} if torch.cuda.is_available() else None,
        attn_implementation="sdpa",
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
    )
    model.generation_config = GenerationConfig()  # or the makers' own penalties and sampling fill what is left open
    return model.requires_grad_(False)


def _quantisation(kind: str, dtype: Any) -> Any:
    if kind == "none":
        return None
    from transformers import BitsAndBytesConfig

    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
