"""The student and its teachers on a PC: each runtime behind one call, timed in turn."""
