"""Wire shapes only: our nine kinds, and partial views of the objects of others that we read.

No behaviour beyond reading a field. Every other room may import this one; it imports errors only.
"""
