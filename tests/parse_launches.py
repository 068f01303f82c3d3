"""Puts command lines through SGLang's parser: `python parse_launches.py FILE.json` writes what came out beside it.

A process of its own, since SGLang's import is slow and its platforms are chosen once per process.
"""

import json
import logging
import sys
from pathlib import Path


def main(asked: Path) -> None:
    from sglang.srt.arg_groups.model_override_base import model_config_of
    from sglang.srt.platforms import current_platform
    from sglang.srt.plugins import load_plugins
    from sglang.srt.server_args import prepare_server_args

    load_plugins()
    _ = (
        current_platform.device_name
    )  # as in `engine.hosting.serving`: makes our attention backend a known choice

    results = []
    for launch in json.loads(asked.read_text()):
        said = Said()
        try:
            server_args = prepare_server_args(launch["arguments"])
            logging.getLogger().addHandler(said)
            if launch["resolve"]:
                server_args.resolve_once()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever SGLang raises is the result
            results.append({"error": f"{type(error).__name__}: {error}", "deprecated": []})
            continue
        names = (
            "served_model_name",
            "api_key",
            "device",
            "tool_call_parser",
            "tp_size",
            "ep_size",
            "context_length",
        )
        result = {name: getattr(server_args, name) for name in names}
        result["deprecated"] = [line for line in said.lines if "tool_call_parser" in line]
        if launch["resolve"]:
            model = model_config_of(server_args)
            result |= {
                "architectures": model.hf_config.architectures,
                "context_len": model.context_len,
                "max_position_embeddings": model.hf_config.max_position_embeddings,
                "rope": dict(model.hf_config.rope_parameters),
            }
        results.append(result)
    asked.with_suffix(".out").write_text(json.dumps(results))


class Said(logging.Handler):
    """Keeps what SGLang logs."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
