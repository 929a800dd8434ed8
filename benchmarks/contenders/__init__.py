"""Who is measured. Each contender is a module here with a ``main``; it runs as a process of its own.

What every one of them does, in the way its user would: receive, decode, check the sequence id, hand to the app. The app
is the same: it looks at the price of each message and counts. :mod:`benchmarks.contenders.meter` measures.
"""
