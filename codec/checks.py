"""The check that every configuration uses."""


def check(holds: bool, name: str, value: object, rule: str) -> None:
    """Raise unless `holds`.

    Raises:
        ValueError: The message names the field, its value and the rule.
    """
    if not holds:
        raise ValueError(f"{name} is {value!r} but must be {rule}")
