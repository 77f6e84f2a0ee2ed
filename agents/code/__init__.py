"""Policy as code: `warden.yaml` in, what it changes, and out again.

`reading` turns text into values that know their line, `document` says what a file may hold, `state` is what there is in
the same words, `diff` compares the two, `planning` and `applying` make it so, through the services that people use.
"""
