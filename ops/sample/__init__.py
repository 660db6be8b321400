"""A sample Salesforce org: seeded records, their changes over time, and the callouts they cause.

`penstock` shows it to a person, tests and benchmarks draw their input from it. `records` has the
org, `story` its scripted history, `callout` sends captures as Apex would, `rules` ships the rules.
"""
