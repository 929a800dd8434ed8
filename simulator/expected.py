"""What was expected and what came, where a test hands over something of another kind: texts for names, mostly."""


def require(value: object, kind: type, what: str) -> None:
    """Raise TypeError, with an example where there is one, unless ``value`` is of this kind."""
    if not isinstance(value, kind):
        members = ", ".join(f"{kind.__name__}.{name}" for name in getattr(kind, "__members__", ()))
        raise TypeError(f"expected {what} ({members or kind.__name__}), got {value!r}")
