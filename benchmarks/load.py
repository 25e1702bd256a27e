"""Steady clients in a process of their own: asks until SIGTERM, then writes every reply as a line of JSON."""

import argparse
import asyncio
import json
import signal
from dataclasses import asdict
from pathlib import Path

from served import Reply, steady


async def asked(options: argparse.Namespace) -> list[Reply]:
    until = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, until.set)
    print("asking", flush=True)
    return await steady(options.port, options.connections, options.rate, until)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second over each connection")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.port is None:  # `make bench` runs every script; this one is the other half of swaps.py
        return
    replies = asyncio.run(asked(options))
    options.out.write_text("".join(f"{json.dumps(asdict(reply))}\n" for reply in replies))


if __name__ == "__main__":
    main()
