"""The questions of the API and the dashboard, one module a family, each a pure SQL text with its values.

Owns what is asked. `selection` says of which posts; `coverage` what was heard of that period. Leaves to
`api` how an answer is sent, and to `catalog` what it is asked of. The terminal's few questions are in
`questions`.
"""
