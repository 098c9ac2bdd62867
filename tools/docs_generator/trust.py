"""What actors can and cannot do. ``data/trust.yaml`` names the tests that show it, which a test
looks for."""

from docs_generator.data import rows
from docs_generator.markdown import table

HEADS = {"what it is not good for": "its holder cannot"}


def block(actor: str) -> str:
    """What an actor can and cannot do, with the reasons if there are any."""
    found = rows("trust")[actor]
    if not any("because" in each for each in found):
        return "\n".join(f"- {each['can']}" for each in found)
    head = HEADS.get(actor, "they")
    return table((head, "because"), ([each["can"], each["because"]] for each in found))
