"""Processes of Penstock's commands that begin with what they import already imported.

A test starts dozens of commands, and each would spend most of a second on imports alone. Here one
process imports all of them, once, and forks for each that is started. What then runs is the
command itself, in a process of its own. Tests of how commands start, start them as people do.
"""
