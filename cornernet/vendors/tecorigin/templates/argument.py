"""The arguments of run_cornernet.py."""

import argparse
from pathlib import Path

RECIPE = Path(__file__).resolve().parents[1] / "config.yaml"


def parse() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True, help="a folder in COCO's format")
    parser.add_argument("--output", required=True, help="the run's folder, which must be new")
    parser.add_argument("--recipe", default=str(RECIPE), help="name or file of a recipe")
    parser.add_argument("--device", default="sdaa", help="sdaa, cpu, …, or auto")
    parser.add_argument("--nproc_per_node", type=int, default=4, help="4 are one card")
    return parser.parse_known_args()
