"""How fast a model would be without a GPU, estimated from the number of cores.

Two numbers were measured with the 0.5B model on one core of an AVX-512 machine (EPYC, bfloat16): a prompt is read
at 228 tokens a second, which is 2 × 0.494e9 × 228 = 225e9 operations, and all linear layers of one decoded token
take 185 ms, in which 988 MB of weights are read: 5.3 GB/s. Reading a prompt scales with the cores; decoding stops
scaling where the memory is saturated. The estimate orders machines and models; it promises no times.
"""

from __future__ import annotations

from engine.models.machine import Machine
from engine.models.model import Profile

CORE_OPERATIONS_S = 225e9
CORE_BYTES_S = 5.3e9
MEMORY_BYTES_S = 50e9
"""Two channels of DDR5, as an ordinary machine has; servers have more."""
MAX_CORES = 16
"""More threads than this only wait for one another at the row counts of completions."""
NEW_TOKENS = 256
"""Read for a completion after a jump within an open file; the rest of the prompt is cached."""
ANSWER_TOKENS = 16
COMPLETION_LIMIT_S = 4.2
"""What the small model takes for such a completion on one core: a larger one must not be slower on its machine."""


def completion_s(profile: Profile, machine: Machine) -> float:
    """Estimated seconds from a pause in typing to a whole short completion, one core being left to the editor."""
    cores = max(1, min(machine.cores - 1, MAX_CORES))
    parameters = profile.shape.active_parameters() if profile.shape else profile.weights_bytes // 2
    read_s = NEW_TOKENS * 2 * parameters / (cores * CORE_OPERATIONS_S)
    token_s = 2 * parameters / min(cores * CORE_BYTES_S, MEMORY_BYTES_S)
    return read_s + ANSWER_TOKENS * token_s


def fast_enough(profile: Profile, machine: Machine) -> bool:
    return completion_s(profile, machine) <= COMPLETION_LIMIT_S
