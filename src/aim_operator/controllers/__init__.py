"""One module per kind: which objects wake it, and gather → decide → apply. Wired in app.py."""
