"""Jobs that ``spark-submit jobs/NAME.py CONF`` runs.

``train``, ``score``, ``bias`` and ``endpoints`` are the jobs; ``training`` holds the steps of
``train``. ``config`` reads the configuration, ``pipeline`` builds stages from it, ``workspace``
opens data, tables and models, ``runner`` holds the command line and the exit codes, and ``summary``
formats the printed result.
"""
