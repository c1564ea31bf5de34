"""Random inputs, most of them broken, of which each is taken or refused in a sentence.

    python -m tests.fuzz --seconds 600

Every input follows from the name of its target and a seed, which is printed with a finding.
"""
