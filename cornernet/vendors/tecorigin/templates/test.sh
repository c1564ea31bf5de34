#!/bin/bash
# An epoch with the losses of each step: bash run_scripts/test.sh DATA OUTPUT
set -euo pipefail
cd "$(dirname "$0")/.."
pip install -r requirements.txt
python run_scripts/run_cornernet.py --data "$1" --output "$2" --train.epochs 1 \
  --train.log_every 1 2>&1 | tee "$2.log"
