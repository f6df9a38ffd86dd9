"""What python imports when it starts: a process that a test of a mutant starts has the mutant."""

from mutants.apply import VARIABLE, install, os

install(os.environ[VARIABLE])
