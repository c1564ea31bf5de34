"""How fast ops and networks are: against their references, their peers and the machine's limits.

`python -m benchmarks` from the project's root; `python -m benchmarks --help` lists the options.
Each `bench_<name>.py` gives the cases of an op, or of a part of the detector, by a function
`cases(device, full)`.
"""
