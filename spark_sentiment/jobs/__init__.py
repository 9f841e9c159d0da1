"""Jobs: the work of ``spark-submit jobs/NAME.py CONF``, step by step.

``train``, ``score``, ``bias`` and ``endpoints`` are the jobs; ``training`` holds the steps of the
first. ``config`` reads the configuration, ``pipeline`` makes stages of it, ``workspace`` holds what
a job works on, ``runner`` is the command line with its exit codes, and ``summary`` lays out what is
printed.
"""
