"""The mission, pure: resolution, discovery, derivation, rendering, routing. Objects in, a Plan out.

No I/O, no asyncio, no clock, no logging: time is an argument. Called by controllers/.
"""
