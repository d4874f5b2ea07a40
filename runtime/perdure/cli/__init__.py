"""The command line: `perdure`, which is also the kubectl plugin `kubectl perdure`.

One module per noun or verb; each holds the command and what only it needs. Data goes to standard
output, everything else (progress, warnings, errors) to standard error, so that a pipe sees data.
"""
