"""The clock of simulations; it is the sandbox's, which `aimctl plan` runs on too."""

from aim_operator.sandbox.virtual_clock import START, VirtualClock, VirtualTimer

__all__ = ["START", "VirtualClock", "VirtualTimer"]
