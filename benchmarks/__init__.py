"""How fast the ops are: against their references, their peers and the speed of memory.

`python -m benchmarks` from the project's root; `python -m benchmarks --help` lists the options.
Each `bench_<op>.py` gives the cases of one op by a function `cases(device, full)`.
"""
