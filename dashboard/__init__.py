"""The page that embeds a controller: whether the feed is whole, what is happening to it, and the market itself.

An app like any other: it knows the public API of :mod:`gapless.controller` and nothing behind it. Its model (points,
candles, chronicle, streams, the picture of them all) is pure and takes the time as an argument; a thin server shows it.
"""
