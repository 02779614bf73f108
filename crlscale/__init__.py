"""crlscale: how deep, how wide, how large a batch for goal-reaching reinforcement learning?

cli       parses a command, calls one function, prints one result
study     a grid of run configs, written down before anything runs
launch    starts `python -m crlscale run STUDY RUN_ID` for each group of runs
run       the host loop of one program: evaluate, train, write, checkpoint
train     the jitted kernel: envs, replay, agent and evaluation as pure functions
store     Parquet files, one a run
analysis  measurements -> estimates with intervals, as typed results
figures   typed results -> pictures; report turns them into tables
"""

__version__ = "0.1.0"
