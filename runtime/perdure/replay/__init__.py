"""The deterministic core: how history and code meet.

`turn` is the theory of operation; `loop` runs the code, `engine` keeps its operations, `compare`
holds a replay to its history. Nothing here knows where history is kept or who runs activities.
"""
