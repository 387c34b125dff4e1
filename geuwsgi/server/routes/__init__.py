"""uWSGI's internal routing: rules (`--route` and its many relatives) that look at a request and do something about it.

`compiling.py` makes `Routes` of the rules at the start: regular expressions, templates and actions are looked at once, and a mistake stops
the start. `engine.py` goes through a chain of rules, `context.py` is what they share during one request, `response.py` is where a
response meets those that are for responses. `substitution.py` and `variables.py` are `$1` and `${VAR}`, `conditions.py` what `--route-if`
can ask, and `actions/` what a rule can do, a file for each kind.

A server without rules has nothing of this on a request's way.
"""
