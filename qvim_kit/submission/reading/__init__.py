"""Reads a notebook's code as Python would run it, without running any of it.

Statements are followed in order, names are bound to what is known of their values, functions are
entered where they are called. What comes out is the list of calls, by the true name of what is
called and with their arguments as far as they are known: ``o.path.join(R, "x")`` after ``import os
as o`` is a call of ``os.path.join``.

- `source`: a cell's text → Python's syntax tree, IPython's magics and shell lines included
- `texts`, `values`, `operators`: what is known of a value before the code runs
- `known`, `special`: what calls of well-known functions give back, or call in their turn
- `bindings`, `expressions`, `calls`, `statements`: following the code; `statements.read` is all
  that the others need
- `magics`: lines that begin with ``%`` or ``!``

Notebook: 05_submission.
"""
