"""The public design of contrastive RL, written out by us to measure against. Training never imports it.

What it does, from arXiv 2503.14858 and its public code: layers unrolled one by one, a difference of all
pairs of embeddings, hindsight goals drawn from all pairs of steps, the whole buffer gathered to sample and
moved to insert, nothing donated, and every wall a box that is tested against every limb. Its learning
differs from ours in nothing but cost (tests/test_bench_naive.py), so what is measured is the design.
"""
