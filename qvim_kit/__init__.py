"""Query by vocal imitation: hum a sound, find the sound effect you meant.

A thin package under the notebooks: ``audio`` → ``features`` → ``models`` → ``systems`` →
``evaluation``. Import from the modules; nothing heavy is loaded here.
"""

__version__ = "0.1.0"
